//! The bundled gateway: a declarative file served live, or a built-in demo.
//!
//! `cargo run --release --example gateway --features full`
mod access;
mod acme;
mod admin;
mod args;
mod control;
mod demo;
mod faultless;
mod listeners;
mod manager;
mod origin;
mod reports;
mod restart;
mod serve;
mod signals;
mod stores;
mod tools;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return args::refused(&error),
    };
    let outcome = match cli.command {
        None => serve::run(&cli.serve),
        Some(args::Command::Validate { file, strict_apisix, compat }) => tools::validate(&file, strict_apisix, compat),
        Some(args::Command::Admin(admin)) => admin::run(admin),
        Some(args::Command::Explain { file, method, url, headers, client }) => {
            tools::explain(&file, &method, &url, &headers, client)
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("gateway: {error}");
        ExitCode::from(2)
    })
}
