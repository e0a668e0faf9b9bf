//! `muster serve`: starts the server.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{DataArgs, Failure, Outcome, print, say};
use crate::serve;
use crate::server::config::{self, Config, LogFormat, MetricsListen, Output};
use crate::server::data_dir::DataDir;

/// Starts the server.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  muster serve
  muster serve --data /var/lib/muster --listen 0.0.0.0 --host plant-7.example
  muster serve --print-config > muster.toml")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The configuration file; `muster.toml` in the data directory where it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints the configuration that would be used, and stops.
    #[arg(long)]
    print_config: bool,
    /// The HTTPS port; 0 lets the system choose this one and those of the other protocols, and 443 is not tried then.
    #[arg(long)]
    port: Option<u16>,
    /// The MQTT port; 0 lets the system choose.
    #[arg(long)]
    mqtt_port: Option<u16>,
    /// An address to listen on in place of loopback; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<IpAddr>,
    /// The domain under which hubs and provisioning services stand.
    #[arg(long)]
    domain: Option<String>,
    /// Makes the vendor's own names lead here too.
    #[arg(long)]
    azure_names: bool,
    /// A further name or address of this machine; may be given several times.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Where metrics are served, an address with a port or `off`.
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<MetricsListen>,
}

impl ServeArgs {
    fn config(&self) -> Result<Config, Failure> {
        let default = config::default_path(&self.data.data);
        let file = self
            .config
            .clone()
            .or_else(|| default.exists().then_some(default));
        let mut config = Config::load(file.as_deref())?;
        if let Some(port) = self.port {
            config.listen.https_port = port;
            config.listen.https_standard_port &= port != 0;
            if port == 0 {
                config.listen.mqtt_port = 0;
            }
        }
        if let Some(port) = self.mqtt_port {
            config.listen.mqtt_port = port;
        }
        if !self.listen.is_empty() {
            config.listen.addresses.clone_from(&self.listen);
        }
        if let Some(domain) = &self.domain {
            config.names.domain.clone_from(domain);
        }
        config.names.azure_names |= self.azure_names;
        config.names.hosts.extend(self.host.iter().cloned());
        if let Some(listen) = self.metrics_listen {
            config.listen.metrics = listen;
        }
        let problems = config.problems();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Failure::new(problems.join("\n")))
        }
    }
}

/// Sends the log to standard error in the form that is configured.
pub(crate) fn start_log(output: &Output) -> Outcome {
    let filter = EnvFilter::try_new(&output.log).map_err(|e| Failure::new(format!("output.log: {e}")))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match output.format {
        LogFormat::Json => registry.with(layer.json()).try_init(),
        LogFormat::Text => registry.with(layer.with_target(false)).try_init(),
    };
    started.map_err(|e| Failure::new(format!("the log can't be started: {e}")))
}

pub(crate) fn run(args: &ServeArgs) -> Outcome {
    let config = args.config()?;
    if args.print_config {
        return print(config.to_toml()?.trim_end());
    }
    start_log(&config.output)?;
    let data = DataDir::new(args.data.data.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = serve::start(&data, &config).await?;
        print(&running.story.told(&data))?;
        wait_for_signal().await?;
        say("stopping: open requests are answered first");
        running.stop(&data).await;
        Ok(())
    })
}

/// Waits until the process is told to stop.
pub(crate) async fn wait_for_signal() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
