//! What must hold while a stream goes on and when it has ended.

use super::*;

impl World {
    /// What must hold at any moment.
    pub(super) fn check(&mut self) {
        assert!(
            !self.encoder.is_closed,
            "the encoder was cut off at {:?}",
            self.now
        );
        assert!(
            !self.player.is_closed,
            "the player was cut off at {:?}",
            self.now
        );
        let stats = self.hub.stats(self.now);
        let [stream] = stats.as_slice() else {
            panic!("there is one stream");
        };
        let publisher = stream.publisher.as_ref().expect("somebody publishes");
        let [player] = stream.players.as_slice() else {
            panic!("somebody plays");
        };
        let per_second = 1_000_000 / self.encoder.interval.get();
        let latency_packets = self.latency.get() * per_second / 1_000_000;
        // What comes in the second that a timestamp may lie ahead, and what follows a gap at once.
        let most = u32::try_from(latency_packets + 2 * per_second + 20).unwrap();
        assert!(
            publisher.buffer_packets <= most,
            "{} packets are held",
            publisher.buffer_packets
        );
        let span_max = self.latency.max(Micros::from_secs(1)) + SLACK;
        assert!(
            Micros::from(player.buffer) <= span_max,
            "{:?} wait for the player",
            player.buffer
        );
        self.check_control();
        let bytes = usize::try_from(publisher.buffer_packets).unwrap() * PAYLOAD_BYTES;
        assert!(bytes <= self.config.publisher_buffer_bytes);
    }

    /// Control packets towards the encoder are bounded: 100 ACKs a second on every line, a loss report each
    /// 20 ms and for each new gap, and what SRTLA adds.
    fn check_control(&mut self) {
        let made = self.encoder.made.len() as u64;
        let new = made - std::mem::replace(&mut self.made_checked, made);
        let lines = self.encoder.lines.len() as u64;
        let control = std::mem::take(&mut self.to_encoder);
        let most = (100 + 12) * lines + 2 * new + 60;
        assert!(
            control <= most,
            "{control} control packets in a second, {new} of media"
        );
    }

    /// Packets of the encoder that the lines lost or that were overtaken on them, both ways.
    pub(super) fn trouble(&self) -> u64 {
        let lines = self.encoder.lines.iter().map(|line| {
            let there = self.network.tally(line.address, Way::ToRelay);
            let back = self.network.tally(line.address, Way::FromRelay);
            there.lost + there.overtaken + back.lost
        });
        lines.sum()
    }

    /// Ends the stream, lets everything arrive, and checks that every packet is accounted for.
    #[track_caller]
    pub(super) fn finish(&mut self) {
        self.encoder.next_media = Micros::MAX;
        self.run(self.latency * 2 + Micros::from_secs(2));
        let made = self.encoder.made.len() as u64;
        let player = &self.player;
        assert_eq!(
            player.delivered + player.missing,
            player.next_number,
            "every packet came or is known to be missing"
        );
        assert!(
            made - player.next_number <= made / 10 + 200,
            "{made} made, the last that came is {}",
            player.next_number
        );
    }

    /// The same for weather in which nothing may be lost.
    #[track_caller]
    pub(super) fn finish_whole(&mut self) {
        self.finish();
        let made = self.encoder.made.len() as u64;
        let stats = self.hub.stats(self.now);
        let reason = stats
            .first()
            .and_then(|stream| stream.publisher.as_ref())
            .map(|publisher| publisher.last_drop.clone());
        assert_eq!(
            (self.player.missing, self.player.delivered),
            (0, made),
            "nothing may be lost; the relay's last reason: {reason:?}, the player's: {:?}",
            self.player.receiver.last_drop()
        );
    }
}
