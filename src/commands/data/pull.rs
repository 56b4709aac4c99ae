//! `mindrail data pull`: brings a data set from the Hugging Face hub.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mindrail_data::hub::{DatasetId, Hub, Pattern, Progress, Revision, Settings, Token, Wanted};

use crate::commands::Exit;

/// Bring a data set from the Hugging Face hub into the shared cache.
///
/// Prints the folder and the files. The cache is the one that Python uses, and
/// so are the variables: `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`,
/// `HF_HUB_OFFLINE`. What broke off goes on where it stopped.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// The data set, as `SungJoo/Cradle-Dialogue`.
    #[arg(value_name = "OWNER/NAME")]
    id: DatasetId,

    /// A branch, a tag or a commit.
    #[arg(long, value_name = "REVISION", default_value = "main")]
    revision: Revision,

    /// Which files; `*` stands for any characters, slashes too.
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    file: String,

    /// A file that holds the token, in place of the variables. A token on the
    /// command line could be read by others on this machine.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Pull {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let mut settings = Settings::from_environment(&|name| std::env::var(name).ok())?;
        if let Some(path) = &self.token_file {
            settings.token = Some(Token::from_file(path)?);
        }
        let wanted = Wanted { id: self.id, revision: self.revision, files: Pattern::new(&self.file) };
        let mut drawn = Drawn { bar: ProgressBar::hidden() };
        let snapshot = Hub::new(settings).pull(&wanted, &mut |progress| drawn.show(progress));
        drawn.bar.finish_and_clear();
        let snapshot = snapshot?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{} at {}", wanted.id, snapshot.commit)?;
        for file in &snapshot.files {
            writeln!(out, "{}", snapshot.folder.join(file).display())?;
        }
        Ok(Exit::Done)
    }
}

/// Draws the file that is being fetched on standard error.
struct Drawn {
    bar: ProgressBar,
}

impl Drawn {
    fn show(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Begins { file, size, present } => {
                self.bar.finish_and_clear();
                let template = "{prefix} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
                let style =
                    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
                self.bar = ProgressBar::new(size).with_style(style).with_prefix(file.to_owned());
                self.bar.set_position(present);
                self.bar.reset_eta();
            }
            Progress::Arrived { bytes } => self.bar.inc(bytes),
            Progress::Ready { .. } => self.bar.finish_and_clear(),
        }
    }
}
