//! The bit rate of the last minutes as a small drawing, with the same said in words.
//!
//! Invariant: a gap in the samples is a gap in the line, the vertical axis begins at zero, and the
//! drawing never grows with the number of samples.

use std::fmt::Write as _;

use super::figures::bitrate;
use crate::http::html::Html;

/// Columns of the drawing. More than this many samples are averaged in groups.
const COLUMNS: usize = 100;
/// Units of the drawing for one column: the box is 300 wide.
const COLUMN_WIDTH: usize = 3;
const HEIGHT: u32 = 64;
/// Free space above and below, so that the line keeps its width at the edges.
const MARGIN: u32 = 2;

/// The drawing and its description.
#[derive(Debug, Clone)]
pub struct Sparkline {
    /// An `<svg>` that scales to the width it is given.
    pub svg: Html,
    /// The same in words: `Average 5.9 Mbit/s, lowest 4.1`.
    pub summary: String,
    /// What the top of the drawing stands for.
    pub scale: String,
}

impl Sparkline {
    /// Draws samples in kbit/s, oldest first; `None` is a second without a measurement.
    ///
    /// `period` says how long the whole drawing is, such as `5 min`.
    #[must_use]
    pub fn draw(samples_kbps: &[Option<u32>], period: &str) -> Self {
        let columns = to_columns(samples_kbps);
        let top = columns.iter().flatten().copied().max().unwrap_or(0).max(1);
        let summary = summarise(samples_kbps, period);
        Self {
            svg: to_svg(&columns, top, &summary),
            summary,
            scale: bitrate(top),
        }
    }
}

fn to_columns(samples: &[Option<u32>]) -> Vec<Option<u32>> {
    let group = samples.len().div_ceil(COLUMNS).max(1);
    // Grouped from the newest, so that a sample moves from column to column without flicker at the
    // end that people look at.
    let mut columns: Vec<_> = samples.rchunks(group).map(average).collect();
    columns.reverse();
    columns
}

fn average(samples: &[Option<u32>]) -> Option<u32> {
    let known = samples.iter().flatten().count();
    let sum: u64 = samples.iter().flatten().map(|kbps| u64::from(*kbps)).sum();
    let average = sum.checked_div(known as u64)?;
    Some(u32::try_from(average).expect("an average of numbers is no larger than they are"))
}

fn summarise(samples: &[Option<u32>], period: &str) -> String {
    let Some(average) = average(samples) else {
        return format!("No media in the last {period}");
    };
    let lowest = samples.iter().flatten().min().copied().unwrap_or(0);
    format!(
        "Last {period}: average {}, lowest {}",
        bitrate(average),
        bitrate(lowest)
    )
}

fn to_svg(columns: &[Option<u32>], top: u32, summary: &str) -> Html {
    let mut line = String::new();
    let mut area = String::new();
    for run in runs(columns) {
        draw_run(&run, top, &mut line, &mut area);
    }
    let width = COLUMNS * COLUMN_WIDTH;
    // `summary` is made of our own words and numbers; `period` is a constant of the caller.
    let summary = escape(summary);
    Html::built(format!(
        "<svg class=\"sparkline\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" \
         role=\"img\" aria-label=\"{summary}\">\
         <path class=\"sparkline-area\" d=\"{area}\"></path>\
         <path class=\"sparkline-line\" d=\"{line}\" fill=\"none\" \
         vector-effect=\"non-scaling-stroke\"></path></svg>"
    ))
}

/// The stretches of known values, each value with its horizontal place.
///
/// The newest column stands at the right edge, however few there are.
fn runs(columns: &[Option<u32>]) -> Vec<Vec<(usize, u32)>> {
    let first_column = COLUMNS - columns.len().min(COLUMNS);
    let mut runs = vec![Vec::new()];
    for (index, column) in columns.iter().enumerate() {
        let x = (first_column + index) * COLUMN_WIDTH + COLUMN_WIDTH / 2;
        match column {
            Some(kbps) => runs.last_mut().expect("never empty").push((x, *kbps)),
            None => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn draw_run(run: &[(usize, u32)], top: u32, line: &mut String, area: &mut String) {
    let (Some((first_x, _)), Some((last_x, _))) = (run.first(), run.last()) else {
        return;
    };
    let _ = write!(area, "M{first_x} {HEIGHT}");
    for (index, (x, kbps)) in run.iter().enumerate() {
        let y = height_of(*kbps, top);
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(line, "{command}{x} {y}");
        let _ = write!(area, "L{x} {y}");
    }
    if run.len() == 1 {
        // A line to its own start is drawn as a dot by its round ends.
        line.push_str("h0");
    }
    let _ = write!(area, "L{last_x} {HEIGHT}Z");
}

fn height_of(kbps: u32, top: u32) -> u32 {
    let room = u64::from(HEIGHT - 2 * MARGIN);
    let up = u64::from(kbps.min(top)) * room / u64::from(top);
    HEIGHT - MARGIN - u32::try_from(up).expect("no higher than the room there is")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line_of(samples: &[Option<u32>]) -> String {
        let svg = Sparkline::draw(samples, "5 min").svg.to_string();
        let line = svg.split("sparkline-line\" d=\"").nth(1).unwrap();
        line.split('"').next().unwrap().to_owned()
    }

    #[test]
    fn the_axis_begins_at_zero_and_ends_at_the_highest_value() {
        assert_eq!(line_of(&[Some(0), Some(4000)]), "M295 62L298 2");
    }

    #[test]
    fn a_gap_is_drawn_as_a_gap() {
        let line = line_of(&[Some(10), Some(10), None, Some(10), Some(10)]);
        assert_eq!(line.matches('M').count(), 2);
        assert_eq!(line.matches('L').count(), 2);
    }

    #[test]
    fn a_single_value_is_a_dot() {
        assert!(line_of(&[None, Some(7), None]).ends_with("h0"));
    }

    #[test]
    fn silence_is_drawn_at_the_bottom() {
        assert_eq!(line_of(&[Some(0), Some(0)]), "M295 62L298 62");
    }

    #[test]
    fn the_words_say_what_the_drawing_shows() {
        let sparkline = Sparkline::draw(&[Some(4100), None, Some(7700)], "5 min");
        assert_eq!(
            sparkline.summary,
            "Last 5 min: average 5.9 Mbit/s, lowest 4.1 Mbit/s"
        );
        assert!(sparkline.svg.as_str().contains(&sparkline.summary));
        assert_eq!(
            Sparkline::draw(&[None], "5 min").summary,
            "No media in the last 5 min"
        );
    }

    #[test]
    fn five_minutes_of_seconds_become_one_hundred_columns() {
        let samples: Vec<_> = (0..300).map(|second| Some(5000 + second % 7)).collect();
        assert_eq!(line_of(&samples).matches('L').count(), COLUMNS - 1);
    }

    proptest! {
        #[test]
        fn every_point_is_inside_the_box(samples in prop::collection::vec(any::<Option<u32>>(), 0..700)) {
            for point in line_of(&samples).split(['M', 'L']).filter(|point| !point.is_empty()) {
                let (x, y) = point.trim_end_matches("h0").split_once(' ').unwrap();
                prop_assert!(x.parse::<usize>().unwrap() < COLUMNS * COLUMN_WIDTH);
                prop_assert!((MARGIN..=HEIGHT - MARGIN).contains(&y.parse().unwrap()));
            }
        }
    }
}
