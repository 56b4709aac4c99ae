//! The lessons: what the teacher said of each conversation, one file per source under
//! `output/teacher`. The first line names teacher and source, then each conversation is a
//! line, written the moment it was scored; a run that was killed goes on behind the last
//! whole line. No line holds text; the hash of a short text can be guessed all the same,
//! so the files are as private as their sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mindrail_core::assessor::{Assessor, ModelIdentity};
use mindrail_core::conversation::Role;
use mindrail_core::digest::sha256;
use serde::{Deserialize, Serialize};

use super::judgement::{JudgeError, Judgement, judge};
use super::{Task, Teacher};
use crate::train::config::TrainConfig;
use crate::train::examples::{Example, Source, SourceKind};
use crate::train::{Progress, TrainError};

/// Raised when a line gets another meaning.
const FORMAT: u32 = 1;

/// The first line of a file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    teacher: ModelIdentity,
    covers: BTreeSet<Task>,
    /// The source's file name.
    source: String,
    kind: SourceKind,
    /// Hash of the source's bytes.
    sha256: String,
}

/// What the teacher said of one conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lesson {
    /// The conversation's id.
    id: String,
    /// Hash of its turns and replies.
    text_sha256: String,
    /// How long the teacher took.
    pub(super) milliseconds: f64,
    pub(super) judgement: Judgement,
}

#[cfg(test)]
impl Lesson {
    /// A lesson without provenance.
    pub(super) fn of(judgement: Judgement) -> Self {
        Self { id: String::new(), text_sha256: String::new(), milliseconds: 0.0, judgement }
    }
}

/// The lessons of several sources, in the order of their conversations.
pub(super) struct Lessons {
    pub(super) lessons: Vec<Lesson>,
    /// For each source the hash of what was said, without the times.
    pub(super) digests: BTreeMap<PathBuf, String>,
}

/// Scores what has not been scored yet, source by source.
pub(super) fn all<A: Assessor>(
    config: &TrainConfig,
    teacher: &Teacher<'_, A>,
    (sources, examples): (&[Source], &[Example]),
    progress: &mut dyn Progress,
) -> Result<Lessons, TrainError> {
    let folder = config.output.join("teacher");
    fs::create_dir_all(&folder).map_err(|e| TrainError::io(&folder, e))?;
    let mut found = Lessons { lessons: Vec::new(), digests: BTreeMap::new() };
    for (index, source) in sources.iter().enumerate() {
        let own: Vec<&Example> = examples.iter().filter(|e| e.source == index).collect();
        let mut file = LessonFile::open(&folder, &header(teacher, source)?, source)?;
        file.fill(teacher, &own, progress)?;
        found.digests.insert(source.path.clone(), digest(&file.path, &file.lessons)?);
        found.lessons.extend(file.lessons);
    }
    Ok(found)
}

fn header<A: Assessor>(teacher: &Teacher<'_, A>, source: &Source) -> Result<Header, TrainError> {
    let bytes = fs::read(&source.path).map_err(|e| TrainError::io(&source.path, e))?;
    Ok(Header {
        format: FORMAT,
        teacher: teacher.assessor.model().clone(),
        covers: teacher.covers.clone(),
        source: source.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        kind: source.kind,
        sha256: sha256(&bytes),
    })
}

/// Hash of what was said; the weights of a training depend on it.
fn digest(path: &Path, lessons: &[Lesson]) -> Result<String, TrainError> {
    let said: Vec<&Judgement> = lessons.iter().map(|lesson| &lesson.judgement).collect();
    Ok(sha256(&serde_json::to_vec(&said).map_err(|e| TrainError::damaged(path, e))?))
}

/// A file of lessons, open behind its last whole line.
struct LessonFile {
    path: PathBuf,
    file: File,
    lessons: Vec<Lesson>,
}

impl LessonFile {
    /// Opens or begins a source's file. Two sources of one file name differ in their
    /// paths, and so do the names of their files.
    fn open(folder: &Path, header: &Header, source: &Source) -> Result<Self, TrainError> {
        let stem = source.path.file_stem().unwrap_or_default().to_string_lossy();
        let place = sha256(source.path.to_string_lossy().as_bytes());
        let path = folder.join(format!("{stem}-{}.jsonl", &place[..8]));
        let io = |e| TrainError::io(&path, e);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        let bytes = fs::read(&path).map_err(io)?;
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(io)?;
        let mut lines = bytes[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty());
        match lines.next() {
            Some(first) => must_match(&path, first, header)?,
            None => write_line(&path, &mut file, header)?,
        }
        let lesson = |(number, line): (usize, &[u8])| {
            let reason = || format!("line {} is no lesson", number + 2);
            serde_json::from_slice(line).map_err(|_| TrainError::damaged(&path, reason()))
        };
        let lessons = lines.enumerate().map(lesson).collect::<Result<Vec<Lesson>, TrainError>>()?;
        Ok(Self { path, file, lessons })
    }

    /// Checks what is there against the conversations and scores the others.
    fn fill<A: Assessor>(
        &mut self,
        teacher: &Teacher<'_, A>,
        examples: &[&Example],
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let fits = |(lesson, example): (&Lesson, &&Example)| {
            lesson.id == example.id && lesson.text_sha256 == text_sha256(example)
        };
        if self.lessons.len() > examples.len() || !self.lessons.iter().zip(examples).all(fits) {
            return Err(TrainError::damaged(&self.path, "its lines are of other conversations"));
        }
        if self.lessons.len() == examples.len() {
            return Ok(());
        }
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        progress.stage(&format!("teacher: {stem}"), examples.len());
        for example in &examples[self.lessons.len()..] {
            let lesson = self.lesson(teacher, example)?;
            write_line(&self.path, &mut self.file, &lesson)?;
            self.lessons.push(lesson);
            progress.step(self.lessons.len(), None);
        }
        Ok(())
    }

    fn lesson<A: Assessor>(&self, teacher: &Teacher<'_, A>, example: &Example) -> Result<Lesson, TrainError> {
        let start = Instant::now();
        let judgement = judge(teacher, example).map_err(|error| match error {
            JudgeError::State(error) => TrainError::State(error),
            JudgeError::Unavailable => TrainError::TeacherUnavailable {
                path: self.path.clone(),
                conversation: self.lessons.len() + 1,
            },
        })?;
        Ok(Lesson {
            id: example.id.clone(),
            text_sha256: text_sha256(example),
            milliseconds: start.elapsed().as_secs_f64() * 1e3,
            judgement,
        })
    }
}

/// Writes a line with one call, so that a kill leaves it whole or without its end.
fn write_line(path: &Path, file: &mut File, line: &impl Serialize) -> Result<(), TrainError> {
    let mut bytes = serde_json::to_vec(line).map_err(|e| TrainError::damaged(path, e))?;
    bytes.push(b'\n');
    file.write_all(&bytes).map_err(|e| TrainError::io(path, e))
}

/// Lessons of another teacher or source must not be taken for these.
fn must_match(path: &Path, first: &[u8], expected: &Header) -> Result<(), TrainError> {
    let found: Header =
        serde_json::from_slice(first).map_err(|_| TrainError::damaged(path, "line 1 names no teacher"))?;
    let other =
        |found: String, expected: String| TrainError::OtherLessons { path: path.to_owned(), found, expected };
    let named = |h: &Header| format!("{} {} ({})", h.teacher.name, h.teacher.version, h.teacher.sha256);
    let of = |h: &Header| format!("{} ({})", h.source, h.sha256);
    if found.teacher != expected.teacher {
        return Err(other(format!("by {}", named(&found)), format!("by {}", named(expected))));
    }
    if (&found.source, &found.sha256) != (&expected.source, &expected.sha256) {
        return Err(other(format!("of {}", of(&found)), format!("of {}", of(expected))));
    }
    if found != *expected {
        return Err(other("made with other settings".to_owned(), "with these".to_owned()));
    }
    Ok(())
}

/// Hash of all that the teacher reads of a conversation.
fn text_sha256(example: &Example) -> String {
    let turns: Vec<(Role, &str)> = example.turns.iter().map(|t| (t.role, t.text.as_str())).collect();
    let replies: Vec<(usize, &str)> = example.replies.iter().map(|r| (r.after, r.text.as_str())).collect();
    // Roles, numbers and strings always make JSON.
    sha256(&serde_json::to_vec(&(turns, replies)).unwrap_or_default())
}
