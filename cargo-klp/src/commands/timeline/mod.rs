//! `cargo klp timeline`: draws what is called in which order.

mod svg;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Result;
use crate::patch::inspect::inspect;
use crate::patch::timeline::timeline;

/// Arguments of `cargo klp timeline`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp timeline fix_v1.ko fix_v2.ko                      two versions, as text
  cargo klp timeline --format svg fix_v1.ko > timeline.svg    one, as a picture

The model of the kernel in klp-runtime calls the callbacks, with the engine that the modules carry. The first drawing
shows all patches loaded in the order in which they are given, then the last disabled. The others show, for each patch,
that it is taken back while it is being loaded, and that its last callback that may fail does; then that the last patch
is disabled and enabled again. Modules that patches have callbacks for are loaded.")]
pub struct Args {
    /// The .ko files, in the order in which they are loaded: livepatches made with klp, for one kernel.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The format of the result on stdout.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// A format of the drawings.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// For terminals and mails.
    #[default]
    Text,
    /// A picture.
    Svg,
    /// A line of JSON, for programs.
    Json,
}

/// Draws the life of patches.
pub fn main(args: &Args) -> Result<ExitCode> {
    let reports = args.files.iter().map(|file| inspect(file)).collect::<Result<Vec<_>>>()?;
    let timeline = timeline(&reports)?;
    match args.format {
        Format::Text => print!("{}", text::draw(&timeline)),
        Format::Svg => println!("{}", svg::draw(&timeline)),
        Format::Json => println!("{}", serde_json::to_string(&timeline).expect("plain data")),
    }
    Ok(ExitCode::SUCCESS)
}

/// A text of a module, which may have any characters, as it may be shown.
fn clean(text: &str) -> String {
    text.replace(char::is_control, " ")
}
