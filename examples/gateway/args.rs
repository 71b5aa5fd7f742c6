//! The command line.
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tollgate::control::ControlAddress;
use tollgate::model::ListenAddress;

/// Prints what clap has to say: help and version as they are, a fault as one line.
pub(crate) fn refused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Whoever asked for help and closed the terminal meanwhile does not miss it.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let fault: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let fault = fault.join(" ");
    eprintln!("gateway: {}; see --help", fault.strip_prefix("error: ").unwrap_or(&fault));
    ExitCode::from(2)
}

/// The bundled gateway: serves a declarative file live, or a built-in demo when no file is named.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print every fault and warning of a file. Exit code 1 when there is a fault.
    Validate {
        /// The declarative file, YAML or JSON.
        file: PathBuf,
        /// Warn about each field that Apache APISIX does not have, and would refuse.
        #[arg(long)]
        strict_apisix: bool,
        /// Tell as well where Apache APISIX would treat the file differently, and how to have it as it was.
        #[arg(long)]
        compat: bool,
    },
    /// Print how a request would be routed: the candidates in order, each with the first condition that fails.
    Explain {
        /// The declarative file, YAML or JSON.
        file: PathBuf,
        /// The method, such as GET.
        method: String,
        /// A path, or a whole URL whose host counts.
        url: String,
        /// A header, `Name: value`; may stand several times.
        #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
        headers: Vec<String>,
        /// The client's address.
        #[arg(long, default_value = "127.0.0.1")]
        client: IpAddr,
    },
    /// Ask and change the configuration of a running gateway through its Admin API.
    Admin(crate::admin::Admin),
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// The declarative file, YAML or JSON by its ending; watched and applied live.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Keep the configuration in a store instead of the file: `disk`, `memory` or `etcd`. The file then has `tollgate` alone.
    #[arg(long, value_name = "KIND", value_enum)]
    pub(crate) store: Option<StoreForm>,
    /// The database of a store on disk. Without it: the file's, else tollgate.redb in the working folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) store_path: Option<PathBuf>,
    /// A server of an etcd store, `http://HOST:PORT`; may stand several times, and means `--store etcd`.
    #[arg(long, value_name = "URL")]
    pub(crate) etcd: Vec<String>,
    /// Serve the Admin API there; the store is on disk unless something else is said.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
    /// A file with the key of the Admin API, in one line, beside those of the configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_key_file: Option<PathBuf>,
    /// Serve the control API there: an address of the loopback, or `unix:/path`.
    #[arg(long, value_name = "ADDR")]
    pub(crate) control: Option<ControlAddress>,
    /// Answer probes there, `/status` and `/status/ready`.
    #[arg(long, value_name = "ADDR")]
    pub(crate) status: Option<SocketAddr>,
    /// An address to listen on with HTTP/1 and h2c, also `unix:/path`, `unix:@name` or `systemd:NAME`; may stand several times
    /// and replaces the file's listeners. Without any: the file's, else 127.0.0.1:9080.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<ListenAddress>,
    /// Worker threads. Without it: the file's, else one a core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Write an access log to a file, or to the terminal with `-`. The file is opened anew on SIGHUP.
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,
    /// The form of the access log.
    #[arg(long, value_enum, default_value_t = LogForm::Combined)]
    pub(crate) access_log_format: LogForm,
    /// After SIGTERM or SIGINT, how long running requests may take to finish. Without it: the file's, else 30.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) drain_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StoreForm {
    /// A database file of this machine.
    Disk,
    /// This process: gone with it.
    Memory,
    /// A cluster of etcd servers.
    Etcd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogForm {
    /// The combined format that log tools know.
    Combined,
    /// One JSON object a line.
    Json,
}
