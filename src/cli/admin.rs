//! `glb admin`: users, from the command line.

use std::io::Read;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use secrecy::SecretString;

use super::{ConfigArgs, output};
use crate::accounts::joining::INVITE_DAYS;
use crate::appliance::config::Config;
use crate::appliance::{ControlRequest, PasswordChoice, command};
use crate::kernel::Role;

/// Arguments of `admin`.
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Create a user. The first one is the owner and claims the appliance.
    Create {
        #[command(flatten)]
        user: UserArgs,
        /// What the user may do: owner, operator, viewer or streamer.
        #[arg(long, value_name = "ROLE", default_value = "owner")]
        role: Role,
        /// The name to show [default: the part of the e-mail before the @]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Make a link to a new password, to hand over; it works once, for an hour.
    ResetLink(WhichUser),
    /// Delete a user for good, with slots, sessions and figures.
    Delete(WhichUser),
    /// Invite somebody; the link is printed, or sent when a mail server is configured.
    Invite(InviteArgs),
    /// Set a user's password anew and sign them out everywhere.
    ResetPassword {
        #[command(flatten)]
        user: UserArgs,
    },
    /// Take the second factor of a user away who lost phone and recovery codes.
    ResetSecondFactor {
        /// The user's e-mail.
        #[arg(long, value_name = "EMAIL")]
        email: String,
    },
}

#[derive(Debug, Args)]
struct WhichUser {
    /// The user's e-mail.
    #[arg(long, value_name = "EMAIL")]
    email: String,
}

#[derive(Debug, Args)]
struct InviteArgs {
    /// Whom it is for [default: whoever holds the link]
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
    /// What they may do: owner, operator, viewer or streamer.
    #[arg(long, value_name = "ROLE", default_value = "streamer")]
    role: Role,
    /// How many days it lasts.
    #[arg(long, value_name = "DAYS", default_value_t = INVITE_DAYS)]
    days: u32,
}

#[derive(Debug, Args)]
struct UserArgs {
    /// The user's e-mail.
    #[arg(long, value_name = "EMAIL")]
    email: String,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct PasswordArgs {
    /// Read the password from the first line of stdin.
    #[arg(long)]
    password_stdin: bool,
    /// Make a random password and print it.
    #[arg(long)]
    random_password: bool,
}

/// Longest first line of stdin that is read.
const STDIN_LIMIT_BYTES: u64 = 4096;

impl PasswordArgs {
    fn choice(&self) -> anyhow::Result<PasswordChoice> {
        if self.random_password {
            return Ok(PasswordChoice::Random);
        }
        let mut text = String::new();
        std::io::stdin()
            .take(STDIN_LIMIT_BYTES)
            .read_to_string(&mut text)
            .context("reading the password from stdin")?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => {
                Ok(PasswordChoice::Given(SecretString::from(line.to_owned())))
            }
            _ => bail!("stdin holds no password: pipe one in, or use --random-password"),
        }
    }
}

/// Runs an `admin` command and prints one JSON line with `user_id`, and `password` when one was made.
pub(super) fn run(args: AdminArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config.given())?;
    let request = match args.command {
        AdminCommand::Create { user, role, name } => ControlRequest::CreateUser {
            password: user.password.choice()?,
            email: user.email,
            display_name: name,
            role,
        },
        AdminCommand::ResetLink(user) => ControlRequest::ResetLink { email: user.email },
        AdminCommand::Delete(user) => ControlRequest::DeleteUser { email: user.email },
        AdminCommand::Invite(invite) => ControlRequest::Invite {
            email: invite.email,
            role: invite.role,
            days: invite.days,
        },
        AdminCommand::ResetPassword { user } => ControlRequest::ResetPassword {
            password: user.password.choice()?,
            email: user.email,
        },
        AdminCommand::ResetSecondFactor { email } => ControlRequest::ResetSecondFactor { email },
    };
    output::json_line(&command(config, request)?)
}
