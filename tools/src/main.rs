//! The `sunday` command: what can be asked of it, and the exit code that it ends with.
//!
//! Invariant: settings come from flags, then `SUNDAY_*` variables, then a TOML file; results go to stdout,
//! everything else to stderr.

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use eventstore::transparency::{KeyName, VerifierKey};
use eventstore::{Position, StreamId, Tag};
use http_kit::auth::AuthSettings;
use http_kit::config::{self, Settings};
use http_kit::telemetry::{self, LogFormat};
use projector::audit::ScrubSettings;
use projector::checker::CheckSettings;
use projector::notary::{self, AuditArguments};
use projector::rebuild::ProjectionName;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use tools::failure::Failure;
use tools::operations::{self, Data, Operation, manual};
use tools::replay::Selection;
use tools::{
    check, follow, import, rebuild, rebuild_online, replay, replay_online, serve, summary, verify, witness,
};

/// What request threads allocate, the writer frees; ARCHITECTURE.md says why that asks for this allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COMMAND_PORT: u16 = 7400;
const QUERY_PORT: u16 = 7401;

/// The backend of a work-management product, event-sourced on its own log.
#[derive(Debug, Parser)]
#[command(name = "sunday", version)]
struct Arguments {
    /// TOML file with settings that neither flags nor variables give
    #[arg(long, env = "SUNDAY_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Shape of the log lines on stderr [default: text]
    #[arg(long, env = "SUNDAY_LOG_FORMAT", global = true)]
    log_format: Option<LogFormat>,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Serve the command API and the query API in one process, until Ctrl-C
    Serve {
        #[command(flatten)]
        data: Data,
        /// Address of the command API; without authentication a loopback address [default: 127.0.0.1:7400]
        #[arg(long, env = "SUNDAY_COMMAND_ADDR")]
        command_addr: Option<SocketAddr>,
        /// Address of the query API; a loopback address [default: 127.0.0.1:7401]
        #[arg(long, env = "SUNDAY_QUERY_ADDR")]
        query_addr: Option<SocketAddr>,
        /// Work history to import at the start
        #[arg(long, value_name = "FILE")]
        import: Option<PathBuf>,
        #[command(flatten)]
        token: TokenFile,
        #[command(flatten)]
        audit: AuditArguments,
        #[command(flatten)]
        auth: Box<AuthSettings>,
        /// Base URL of a collector of traces (OTLP over HTTP), such as http://127.0.0.1:4318
        #[arg(long, env = "SUNDAY_OTLP_ENDPOINT")]
        otlp_endpoint: Option<String>,
        #[command(flatten)]
        checks: Checks,
        /// Not ready while a projection is this many seconds behind; 0 for never [default: 60]
        #[arg(long, env = "SUNDAY_BEHIND_SECONDS_MAX")]
        behind_seconds_max: Option<u64>,
    },
    /// Import a work history through the command API; twice is as good as once
    Import {
        /// JSON lines, plain or gzip
        file: PathBuf,
        /// Where the command API is
        #[arg(long, env = "SUNDAY_COMMAND_URL", default_value = "http://127.0.0.1:7400")]
        command_url: String,
        #[command(flatten)]
        token: TokenFile,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print events as JSON lines
    Replay {
        #[command(flatten)]
        data: Data,
        /// First position
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Position to stop before
        #[arg(long)]
        to: Option<u64>,
        /// Only events of this stream
        #[arg(long, value_parser = |text: &str| StreamId::new(text))]
        stream: Option<StreamId>,
        /// Only events of this type
        #[arg(long = "type")]
        event_type: Option<String>,
        /// Only events of streams of this category: item of item-0197…
        #[arg(long)]
        category: Option<String>,
        /// Only events with this tag, such as board:0197…
        #[arg(long, value_parser = |text: &str| Tag::new(text))]
        tag: Option<Tag>,
        /// Write them to this file, which is there once it is whole
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Append them to another Sunday, whose command API is at this URL; streams that only commands write are passed over
        #[arg(long, value_name = "URL", conflicts_with = "output")]
        into: Option<String>,
        #[command(flatten)]
        token: TokenFile,
        /// Taken for the sake of uniformity: the output is always JSON
        #[arg(long)]
        json: bool,
    },
    /// Make read models and search index anew from the log, and swap them in
    Rebuild {
        #[command(flatten)]
        data: Data,
        /// Only this one: models, search, activity or analytics
        #[arg(long, value_name = "NAME", value_parser = projection)]
        projection: Option<ProjectionName>,
        /// Build and compare only; what is in use stays in use
        #[arg(long)]
        shadow: bool,
        /// Ask the command API here, instead of working on a directory that nobody else works on
        #[arg(long, value_name = "URL", requires = "query_url", conflicts_with = "data_dir")]
        command_url: Option<String>,
        /// Where the query API is, which says how far it is
        #[arg(long, value_name = "URL", requires = "command_url")]
        query_url: Option<String>,
        #[command(flatten)]
        token: TokenFile,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Compare read models and search index with the log, thing by thing; 0 equal, 1 something differs
    Check {
        #[command(flatten)]
        data: Data,
        /// Compare one item in so many; 1 is everything
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        sample: u32,
        /// Which ones: a sample that was told can be had again
        #[arg(long)]
        seed: Option<u64>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Check every byte of the log, what was signed of it and what is derived from it; 0 intact, 1 tampering, 3 cannot be read,
    /// 4 corruption, 5 policy not met
    #[command(after_long_help = verify::classes())]
    Verify {
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        verify: Box<verify::Arguments>,
    },
    /// Keep a warm standby: copy the log of a query API, and go on copying, until Ctrl-C
    Follow {
        /// Where the query API is, such as http://127.0.0.1:7401
        source: String,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        token: TokenFile,
        /// Print one JSON object at the end
        #[arg(long)]
        json: bool,
    },
    /// Cosign the checkpoints of logs that only grow (C2SP tlog-witness), until Ctrl-C
    Witness {
        /// Directory of its key and of what it has cosigned
        #[arg(long, env = "SUNDAY_WITNESS_DIR", default_value = "./witness")]
        state_dir: PathBuf,
        /// Where it listens
        #[arg(long, env = "SUNDAY_WITNESS_ADDR", default_value = "127.0.0.1:7410")]
        addr: SocketAddr,
        /// Its name, when its key is made, such as witness.example/w1
        #[arg(long, env = "SUNDAY_WITNESS_NAME", value_parser = |text: &str| KeyName::new(text))]
        name: Option<KeyName>,
        /// Key of a log to cosign (name+id+key); several times for several logs, or several keys of one
        #[arg(long = "log", value_name = "KEY")]
        logs: Vec<VerifierKey>,
    },
    #[command(flatten)]
    Operation(Operation),
    /// Give up the key that checkpoints are signed with for a new one; prints the note that says so. No projector may run
    RotateKey {
        #[command(flatten)]
        data: Data,
    },
    /// Make a standby the log that is written, once the one that it followed is gone for good
    Promote {
        #[command(flatten)]
        data: Data,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print what a shell needs to complete commands
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write a manual page for each command
    Man {
        /// Where to
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Checks {
    /// Seconds between two checks of a sample of the projections; 0 checks none [default: 3600]
    #[arg(long, env = "SUNDAY_CHECK_EVERY", value_name = "SECONDS")]
    check_every: Option<u64>,
    /// Such a sample is of one item in so many [default: 100]
    #[arg(long, env = "SUNDAY_CHECK_SAMPLE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    check_sample: Option<u32>,
    /// Mebibytes of the log that are verified a second in the background; 0 for none [default: 8]
    #[arg(long, env = "SUNDAY_SCRUB_MIB_PER_SECOND", value_name = "N")]
    scrub_mib_per_second: Option<u64>,
}

#[derive(Debug, Args)]
struct TokenFile {
    /// File with the token that is sent; otherwise it stands in the variable SUNDAY_TOKEN, or a server on this
    /// machine has left a development token
    #[arg(long, value_name = "FILE", env = "SUNDAY_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

fn projection(name: &str) -> Result<ProjectionName, String> {
    let known = ProjectionName::ALL.map(ProjectionName::as_str).join(" or ");
    ProjectionName::parse(name).ok_or_else(|| format!("it is {known}"))
}

fn main() -> ExitCode {
    archive_s3::install();
    let arguments = Arguments::parse();
    let settings = config::load::<Settings>(arguments.config.as_deref());
    let format = arguments.log_format.or(settings.as_ref().ok().and_then(|settings| settings.log_format));
    telemetry::init(format.unwrap_or_default());
    let result = match settings {
        Ok(settings) => run(arguments.task, &settings),
        Err(error) => Err(Failure::Usage(error.to_string())),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            // One plain line: this is the command's answer, not a log entry.
            let _ = writeln!(io::stderr(), "sunday: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(task: Task, settings: &Settings) -> Result<u8, Failure> {
    let mut out = io::stdout().lock();
    match task {
        Task::Serve {
            data,
            command_addr,
            query_addr,
            import,
            token,
            audit,
            auth,
            otlp_endpoint,
            checks,
            behind_seconds_max,
        } => {
            drop(out);
            let notary = audit.options().map_err(Failure::Usage)?;
            let plan = auth.or(&settings.auth).plan().map_err(|error| Failure::Usage(error.to_string()))?;
            let otlp_endpoint = otlp_endpoint.or_else(|| settings.otlp_endpoint.clone());
            let traces = telemetry::send_traces(otlp_endpoint.as_deref(), "sunday");
            let _traces = traces.map_err(|error| Failure::Usage(error.to_string()))?;
            let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let options = serve::Options {
                data_dir: data.or(settings),
                command_addr: command_addr.or(settings.command_addr).unwrap_or_else(|| local(COMMAND_PORT)),
                query_addr: query_addr.or(settings.query_addr).unwrap_or_else(|| local(QUERY_PORT)),
                limits: settings
                    .limits
                    .clone()
                    .with_environment()
                    .map_err(|error| Failure::Usage(error.to_string()))?,
                notary,
                import,
                token_file: token.token_file,
                plan,
                checks: CheckSettings::new(
                    checks.check_every.or(settings.check_every),
                    checks.check_sample.or(settings.check_sample),
                ),
                scrub: ScrubSettings::new(checks.scrub_mib_per_second.or(settings.scrub_mib_per_second)),
                behind_seconds_max: behind_seconds_max.unwrap_or(query_api::BEHIND_SECONDS_MAX),
            };
            let runtime = tokio::runtime::Runtime::new()
                .map_err(|source| Failure::Io { action: "cannot start a runtime".to_owned(), source })?;
            runtime.block_on(serve::serve(options))?;
        }
        Task::Import { file, command_url, token, json } => {
            let token = import::Token::find(token.token_file.as_deref(), &command_url)?;
            let done = import::import(&file, &command_url, token)?;
            let text = if json {
                serde_json::to_string(&done).map_err(|error| Failure::Output(error.into()))? + "\n"
            } else {
                summary::sums(&file, &done)
            };
            out.write_all(text.as_bytes()).map_err(Failure::Output)?;
            if done.tally.is_all_rejected() {
                let reason =
                    format!("none of the lines of {} was taken; the summary says why", file.display());
                return Err(Failure::Part(reason));
            }
        }
        Task::Replay { data, from, to, stream, event_type, category, tag, output, into, token, json } => {
            let (from, to) = (Position::new(from), to.map(Position::new));
            let selection = Selection { from, to, stream, event_type, category, tag };
            if let Some(url) = into {
                let token = import::Token::find(token.token_file.as_deref(), &url)?;
                let target = replay_online::Target { url, token };
                let sent = replay_online::replay_into(&data.or(settings), &selection, &target)?;
                let text = match json {
                    true => {
                        serde_json::json!({"events": sent.events, "passedOver": sent.passed_over}).to_string()
                    }
                    false => format!("{} events sent, {} passed over", sent.events, sent.passed_over),
                };
                return writeln!(out, "{text}").map(|()| 0).map_err(Failure::Output);
            }
            let count = match output {
                Some(path) => replay::replay_to(&data.or(settings), &selection, &path)?,
                None => replay::replay(&data.or(settings), &selection, &mut out)?,
            };
            if count == 0 {
                eprintln!("sunday: no event of this log is what was asked for");
            }
        }
        Task::Rebuild { data, projection, shadow, command_url, query_url, token, json } => {
            let names = projection.as_slice();
            let (Some(command_url), Some(query_url)) = (command_url, query_url) else {
                return rebuild::rebuild(&data.or(settings), names, shadow, json, &mut out);
            };
            let token = import::Token::find(token.token_file.as_deref(), &command_url)?;
            let online = rebuild_online::Online { command_url, query_url, token };
            return rebuild_online::rebuild(&online, names, shadow, json, &mut out);
        }
        Task::Check { data, sample, seed, json } => {
            let extent = check::Extent { one_in: sample, seed };
            return check::check(&data.or(settings), extent, json, &mut out);
        }
        Task::Follow { source, data, token, json } => {
            let token = import::Token::find(token.token_file.as_deref(), &source)?;
            follow::follow(&source, token, &data.or(settings), json, &mut out)?;
        }
        Task::Witness { state_dir, addr, name, logs } => {
            drop(out);
            let runtime = tokio::runtime::Runtime::new()
                .map_err(|source| Failure::Io { action: "cannot start a runtime".to_owned(), source })?;
            runtime.block_on(witness::witness(witness::Options { state_dir, addr, name, logs }))?;
        }
        Task::RotateKey { data } => {
            let note =
                notary::rotate(&data.or(settings)).map_err(|error| Failure::Part(error.to_string()))?;
            write!(out, "{note}").map_err(Failure::Output)?;
        }
        Task::Operation(operation) => return operations::run(operation, settings, &mut out),
        Task::Completions { shell } => manual::completions(shell, Arguments::command(), &mut out)?,
        Task::Man { dir } => manual::pages(&dir, Arguments::command(), &mut out)?,
        Task::Promote { data, json } => follow::promote(&data.or(settings), json, &mut out)?,
        Task::Verify { data, verify } => return verify::verify(&data.or(settings), &verify, &mut out),
    }
    Ok(0)
}
