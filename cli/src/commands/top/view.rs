//! The screen as cells, and as plain text.

use super::screen::{HomeJob, HomeNow, Screen};
use crate::commands::peers;
use crate::gpus;
use crate::guest_words::{progress_text, progress_word};
use crate::quantity::{ByteSize, Span};
use crate::render::{Table as PlainTable, tame};
use potluck_node::wire::{JobHere, JobState, PeerState};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, TableState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const JOBS: [&str; 7] = ["who", "what", "state", "since", "cpu", "memory", "may have"];
const QUEUE: [&str; 3] = ["queue", "what", "state"];
const PEERS: [&str; 7] = ["peer", "cores", "load", "free mem", "gpu", "jobs", "lends"];

/// Rows of the screen for this machine's own queue at most.
const QUEUE_HEIGHT_MAX: u16 = 8;

/// Draws all of it. Attributes say what colours would, for whoever does not see them.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let head = head(screen);
    let jobs = jobs(screen);
    let queue = queue(screen);
    // Its heading and its rows, and nothing where no job of it is with a machine.
    let queue_height = if queue.is_empty() { 0 } else { u16::try_from(queue.len() + 2).unwrap_or(u16::MAX) };
    let [top, here, own, gap, others, bottom] = Layout::vertical([
        Constraint::Length(u16::try_from(head.len()).unwrap_or(u16::MAX)),
        Constraint::Min(3),
        Constraint::Max(queue_height.min(QUEUE_HEIGHT_MAX)),
        Constraint::Length(1),
        Constraint::Percentage(40),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Paragraph::new(head.into_iter().map(Line::from).collect::<Vec<_>>()), top);
    let widths = [
        Constraint::Fill(2),
        Constraint::Fill(4),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(5),
        Constraint::Length(9),
        Constraint::Length(9),
    ];
    let table = Table::new(jobs.into_iter().map(Row::new), widths)
        .header(Row::new(JOBS.map(str::to_uppercase)).style(bold))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, here, &mut TableState::new().with_selected(screen.row()));
    let widths = [Constraint::Length(12), Constraint::Fill(3), Constraint::Fill(2)];
    let table = Table::new(queue.into_iter().map(Row::new), widths)
        .header(Row::new(QUEUE.map(str::to_uppercase)).style(bold).top_margin(1));
    frame.render_widget(table, own);
    frame.render_widget(Line::from(""), gap);
    let widths = [
        Constraint::Fill(2),
        Constraint::Length(5),
        Constraint::Length(6),
        Constraint::Length(9),
        Constraint::Fill(2),
        Constraint::Length(4),
        Constraint::Fill(3),
    ];
    let table = Table::new(all_peers(screen).into_iter().map(Row::new), widths)
        .header(Row::new(PEERS.map(str::to_uppercase)).style(bold));
    frame.render_widget(table, others);
    frame.render_widget(Line::from(tame(&screen.footer())).style(Style::new().add_modifier(Modifier::DIM)), bottom);
}

/// All of it as plain text.
pub(super) fn plain(screen: &Screen) -> String {
    let mut text: String = head(screen).iter().map(|line| format!("{line}\n")).collect();
    let table = |headings: &[&'static str], rows: Vec<Vec<String>>| {
        let mut table = PlainTable::new(headings);
        rows.into_iter().for_each(|row| table.push(row));
        table.render()
    };
    text.push_str(&table(&JOBS, jobs(screen)));
    text.push('\n');
    let queue = queue(screen);
    if !queue.is_empty() {
        text.push_str(&table(&QUEUE, queue));
        text.push('\n');
    }
    text.push_str(&table(&PEERS, all_peers(screen)));
    text
}

fn head(screen: &Screen) -> Vec<String> {
    let me = &screen.sight().list.me;
    let HomeNow { count, waiting, .. } = &screen.sight().home;
    let gpus = if me.graphics().is_empty() { String::new() } else { format!(", {}", gpus::cell(me)) };
    vec![
        tame(&format!("{} {}", me.name, screen.sight().sharing.lends.text)),
        tame(&format!(
            "load {:.2} of {} cores, {} of {} memory free{gpus}",
            f64::from(me.load_milli) / 1000.0,
            me.cores,
            ByteSize(me.memory_free_bytes),
            ByteSize(me.memory_bytes)
        )),
        format!(
            "its own queue has {count} {}, {} with machines and {waiting} waiting",
            if *count == 1 { "job" } else { "jobs" },
            count.saturating_sub(*waiting)
        ),
        String::new(),
    ]
}

/// The jobs of this machine's queue that machines have.
fn queue(screen: &Screen) -> Vec<Vec<String>> {
    let state = |job: &HomeJob| match &job.progress {
        Some(progress) => format!("{}, {}", job.standing, progress_text(progress)),
        None => job.standing.to_string(),
    };
    let row = |job: &HomeJob| vec![job.short.clone(), tame(&job.program), tame(&state(job))];
    screen.sight().home.with_machines.iter().map(row).collect()
}

fn jobs(screen: &Screen) -> Vec<Vec<String>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    screen.sight().jobs.iter().map(|job| job_row(job, screen.cores_milli(job.number), now)).collect()
}

fn job_row(job: &JobHere, cores_milli: Option<u64>, now: u64) -> Vec<String> {
    let state = match job.state {
        JobState::Waiting => "waiting".to_owned(),
        JobState::Preparing => "preparing".to_owned(),
        // In as few letters as the column has.
        JobState::Running => {
            job.progress.as_ref().map_or_else(|| "running".to_owned(), |now| format!("at {}", progress_word(now)))
        }
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        tame(&job.who),
        tame(&job.what),
        state,
        Span(Duration::from_secs(now.saturating_sub(job.since_unix))).to_string(),
        or_none(cores_milli.map(|milli| format!("{}%", milli / 10))),
        or_none(job.memory_bytes.map(|bytes| ByteSize(bytes).to_string())),
        ByteSize(job.memory_bytes_max).to_string(),
    ]
}

fn all_peers(screen: &Screen) -> Vec<Vec<String>> {
    screen.sight().list.peers.iter().map(peer_row).collect()
}

fn peer_row(peer: &PeerState) -> Vec<String> {
    let name = tame(&peer.name);
    let Some(info) = peer.info.as_ref().filter(|_| peer.online) else {
        let unknown = std::iter::repeat_n("-".to_owned(), PEERS.len() - 2);
        return std::iter::once(name).chain(unknown).chain(["cannot be reached".to_owned()]).collect();
    };
    vec![
        name,
        info.cores.to_string(),
        format!("{:.2}", f64::from(info.load_milli) / 1000.0),
        ByteSize(info.memory_free_bytes).to_string(),
        tame(&gpus::cell(info)),
        info.jobs_running.to_string(),
        tame(&match &info.lends {
            Some(lends) if lends.closed.is_some() => lends.text.clone(),
            _ => peers::lends(info),
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::screen::tests::{job, sight};
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::Instant;

    fn drawn(screen: &Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, screen)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>() + "\n").collect()
    }

    #[test]
    fn jobs_peers_and_what_is_lent_stand_on_the_screen_whatever_its_size() {
        let mut steering = job(2, "e\u{1b}[2Jve", 5);
        steering.state = JobState::Waiting;
        let screen = Screen::new(sight(Instant::now(), vec![job(1, "ann", 0), steering], None));
        let text = drawn(&screen, 100, 20);
        for words in [
            "attic lends 4 of 8 cores",
            "load 1.25 of 8 cores",
            "job1.py",
            "ann",
            "running",
            "60 MiB",
            "waiting",
            "its own queue has 61 jobs, 1 with machines and 60 waiting",
            "7f3a7f",
            "far.py",
            "running on desk",
            "memory free, RTX 3060 12 GiB",
            "q quits",
        ] {
            assert!(text.contains(words), "{words}:\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        for (width, height) in [(1, 1), (20, 5), (300, 3)] {
            drawn(&screen, width, height);
        }
        let plain = plain(&screen);
        assert!(
            plain.contains("WHO  ")
                && plain.contains("job2.py")
                && plain.contains("running on desk")
                && !plain.contains('\u{1b}'),
            "{plain}"
        );
    }
}
