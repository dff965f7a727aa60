//! The table with many clients, threads and processes.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;

use super::*;

/// The arguments of a process of these tests.
const TASK: &str = "MONOCEROS_TEST_TASK";
const NOW: u64 = 1_000_000_000;

fn client(number: u32) -> ClientKey {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)).into()
}

fn per_hour(count: u32, burst: u32) -> Rate {
    Rate::new(count, Duration::from_secs(3600), burst)
}

/// A table with limits that have these rates.
fn table<const RULES: usize>(rates: [Rate; RULES]) -> (ClientTable, [TableRule; RULES]) {
    let table = ClientTable::create().unwrap();
    let rules = rules(&table, rates);
    (table, rules)
}

fn rules<const RULES: usize>(table: &ClientTable, rates: [Rate; RULES]) -> [TableRule; RULES] {
    let tags: [RuleTag; RULES] = std::array::from_fn(|index| RuleTag::of(&index.to_string()));
    table.assign_rules(&tags, &[]).unwrap();
    std::array::from_fn(|index| table.rule(tags[index], rates[index]).unwrap())
}

fn is_allowed(table: &ClientTable, rule: &TableRule, client: ClientKey) -> bool {
    table.count_request(client, [rule].into_iter(), NOW).is_ok()
}

fn writer(connections: usize) -> JournalWriter {
    JournalWriter::new(ConnectionJournal::create(connections).unwrap())
}

/// How many connections the client gets with this limit; they end again.
fn free_connections(table: &ClientTable, client: ClientKey, limit: u32) -> usize {
    let journal = writer(limit as usize + 1);
    let mut counted = Vec::new();
    while let ConnectionCount::Counted(number) = table.connect(client, limit, &journal, NOW) {
        counted.push(number);
    }
    counted.iter().for_each(|number| table.disconnect(*number, &journal));
    counted.len()
}

#[test]
fn a_client_is_refused_until_its_time_has_come() {
    let (table, [rule]) = table([Rate::new(5, Duration::from_secs(60), 5)]);
    assert!((0..5).all(|_| is_allowed(&table, &rule, client(1))));
    let ask = |now| table.count_request(client(1), [&rule].into_iter(), now);
    let refusal = TooManyRequests { rule: 0, wait: Duration::from_secs(12) };
    assert_eq!((ask(NOW), ask(NOW)), (Err(refusal), Err(refusal)));
    assert_eq!((ask(NOW + 12_000_000), ask(NOW + 12_000_000)), (Ok(()), Err(refusal)));
    assert!(is_allowed(&table, &rule, client(2)));
}

#[test]
fn a_request_that_one_limit_refuses_is_not_counted_by_the_others() {
    let (table, [server, login]) = table([per_hour(10, 10), per_hour(2, 2)]);
    let both = || table.count_request(client(1), [&server, &login].into_iter(), NOW);
    assert!(both().is_ok() && both().is_ok());
    for _ in 0..20 {
        assert_eq!(both().unwrap_err().rule, 1);
    }
    let others = (0..20).filter(|_| is_allowed(&table, &server, client(1))).count();
    assert_eq!(others, 8);
    // Both refuse: the one with the longer time.
    assert_eq!(both().unwrap_err(), TooManyRequests { rule: 1, wait: Duration::from_secs(1800) });
}

#[test]
fn requests_without_a_limit_are_allowed_and_take_no_cell() {
    let (table, []) = table([]);
    assert_eq!(table.count_request(client(1), [].iter(), NOW), Ok(()));
    assert_eq!(table.cells().find(&table.choice.of(client(1))), None);
}

#[test]
fn as_many_clients_as_promised_are_remembered_and_no_other_one_is_refused() {
    let (table, [rule]) = table([per_hour(1, 1)]);
    let most = CLIENTS;
    for number in 0..most {
        assert!(is_allowed(&table, &rule, client(number)), "{number}");
    }
    for number in 0..most {
        assert!(!is_allowed(&table, &rule, client(number)), "{number}");
    }
}

#[test]
fn beyond_them_new_clients_are_served_and_remembered() {
    let (table, [rule]) = table([per_hour(1, 1)]);
    let most = 3 * CLIENTS;
    // Each client is forgotten a moment later than the one before.
    let ask = |number: u32| {
        let now = NOW + u64::from(number) * 1000;
        table.count_request(client(number), [&rule].into_iter(), now).is_ok()
    };
    for number in 0..most {
        assert!(ask(number), "{number}");
        assert!(!ask(number), "{number}");
    }
    let remembered: Vec<_> = (0..most).filter(|number| !ask(*number)).collect();
    let young = remembered.iter().filter(|number| **number > most - CLIENTS).count();
    assert!(young > CLIENTS as usize / 2, "{young} of the last are remembered");
}

#[test]
fn clients_whose_time_is_over_make_room() {
    let (table, [rule]) = table([Rate::new(1, Duration::from_secs(1), 1)]);
    for round in 0..5 {
        let now = NOW + round * 10_000_000;
        let ask = |number| table.count_request(client(number), [&rule].into_iter(), now).is_ok();
        let numbers = || (0..CLIENTS).map(|number| number + round as u32 * 1_000_000);
        assert!(numbers().all(ask));
        assert!(!numbers().any(ask), "round {round}");
    }
}

#[test]
fn a_limit_keeps_its_row_and_a_new_one_begins_with_empty_buckets() {
    let table = ClientTable::create().unwrap();
    let tags = ["a", "b", "c"].map(RuleTag::of);
    table.assign_rules(&tags[..2], &[]).unwrap();
    let rule = |tag| table.rule(tag, per_hour(1, 1));
    let [first, second] = [rule(tags[0]).unwrap(), rule(tags[1]).unwrap()];
    assert!(is_allowed(&table, &first, client(1)) && is_allowed(&table, &second, client(1)));
    // A reload to other limits, and another one.
    table.assign_rules(&[tags[0], tags[2]], &tags[..2]).unwrap();
    assert_eq!(table.assigned_rules().len(), 3);
    assert!(!is_allowed(&table, &second, client(1)), "older workers still have it");
    table.assign_rules(&[tags[0], tags[2]], &[tags[0], tags[2]]).unwrap();
    assert!(rule(tags[1]).is_none());
    assert!(is_allowed(&table, &second, client(1)), "its row is gone");
    table.assign_rules(&tags, &tags).unwrap();
    assert!(!is_allowed(&table, &rule(tags[0]).unwrap(), client(1)), "it was never dropped");
    assert!(is_allowed(&table, &rule(tags[1]).unwrap(), client(1)), "it is a new one");
}

#[test]
fn there_are_rows_for_all_limits_of_two_generations() {
    let table = ClientTable::create().unwrap();
    let tags = |from: usize| -> Vec<_> {
        (from..from + ROWS / 2).map(|number| RuleTag::of(&number.to_string())).collect()
    };
    let mut recent: Vec<RuleTag> = Vec::new();
    for reload in 0..20 {
        let wanted = [tags(reload * 64), tags((reload + 1) * 64)].concat();
        table.assign_rules(&wanted, &recent).unwrap();
        let has_row = |tag: &RuleTag| table.rule(*tag, per_hour(1, 1)).is_some();
        assert!(wanted.iter().all(has_row), "reload {reload}");
        recent = wanted;
    }
    let too_many = [recent, tags(9_999)].concat();
    let error = table.assign_rules(&too_many, &[]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_client_has_no_more_connections_than_its_limit() {
    let (table, []) = table([]);
    let journal = writer(100);
    let connect = |client| table.connect(client, 3, &journal, NOW);
    let counted: Vec<_> = (0..3).map(|_| connect(client(1))).collect();
    let ConnectionCount::Counted(one) = counted[1] else { panic!("{counted:?}") };
    assert_eq!(connect(client(1)), ConnectionCount::TooMany);
    assert_eq!(free_connections(&table, client(2), 3), 3);
    table.disconnect(one, &journal);
    assert!(matches!(connect(client(1)), ConnectionCount::Counted(_)));
    assert_eq!(connect(client(1)), ConnectionCount::TooMany);
}

#[test]
fn a_connection_beyond_the_journal_is_allowed_and_not_counted() {
    let (table, []) = table([]);
    let journal = writer(1);
    let connect = || table.connect(client(1), 1, &journal, NOW);
    let ConnectionCount::Counted(number) = connect() else { panic!() };
    assert_eq!(connect(), ConnectionCount::Uncounted);
    table.disconnect(number, &journal);
    assert_eq!(connect(), ConnectionCount::Counted(number));
}

#[test]
fn a_table_of_another_layout_is_refused() {
    let other = SharedWords::create("test", WORDS).unwrap();
    let fd = other.as_fd().try_clone_to_owned().unwrap();
    assert_eq!(ClientTable::adopt(fd).unwrap_err().kind(), io::ErrorKind::InvalidData);
    let short = SharedWords::create("test", 8).unwrap();
    let fd = short.as_fd().try_clone_to_owned().unwrap();
    assert_eq!(ClientTable::adopt(fd).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

/// A worker can write anything to the memory that it shares.
#[test]
fn the_master_survives_any_content_of_the_table_and_the_journal() {
    let table = ClientTable::create().unwrap();
    let journal = ConnectionJournal::create(CELLS).unwrap();
    let theirs = SharedWords::adopt(journal.as_fd().try_clone_to_owned().unwrap()).unwrap();
    for pattern in [u64::MAX, 1 << 63, u64::MAX << 13, 0x9e37_79b9_7f4a_7c15] {
        let random = |index: usize| (index as u64 + 1).wrapping_mul(pattern);
        for (index, word) in table.memory.words().iter().enumerate().take(BUCKETS + CELLS) {
            word.store(random(index), Relaxed);
        }
        for (index, word) in theirs.words().iter().enumerate() {
            word.store(random(index), Relaxed);
        }
        table.disconnect_all(&journal);
        assert!(theirs.words().iter().all(|word| word.load(Relaxed) == 0));
        let wanted = ["a", "b"].map(RuleTag::of);
        table.assign_rules(&wanted, &table.assigned_rules()).unwrap();
        let rule = table.rule(wanted[0], per_hour(1, 1)).unwrap();
        assert!(is_allowed(&table, &rule, client(1)));
    }
}

/// All threads ask for the same new clients at the same time.
#[test]
fn threads_do_not_multiply_a_limit() {
    const THREADS: usize = 8;
    let (table, [rule]) = table([per_hour(3, 3)]);
    let journal = writer(100_000);
    let start = Barrier::new(THREADS);
    let counts = thread::scope(|scope| {
        let work = || {
            start.wait();
            let mut counts = [0, 0];
            for number in 0..3000 {
                for _ in 0..3 {
                    counts[0] += u32::from(is_allowed(&table, &rule, client(number)));
                    let count = table.connect(client(number), 5, &journal, NOW);
                    counts[1] += u32::from(matches!(count, ConnectionCount::Counted(_)));
                }
            }
            counts
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|it| it.join().unwrap())
            .fold([0, 0], |sum, counts| [sum[0] + counts[0], sum[1] + counts[1]])
    });
    assert_eq!(counts, [3 * 3000, 5 * 3000]);
}

// Other processes.

/// Runs [`a_process`] with these words, and descriptors that it opens by their paths.
fn start(task: &str, table: &ClientTable, journal: Option<&ConnectionJournal>) -> Child {
    let descriptors = [Some(table.as_fd()), journal.map(AsFd::as_fd)];
    let paths = descriptors.into_iter().flatten();
    let paths = paths.map(|fd| format!(" /proc/{}/fd/{}", std::process::id(), fd.as_raw_fd()));
    let task = format!("{task}{}", paths.collect::<String>());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client_table::tests::a_process", "--ignored", "--nocapture"])
        .env(TASK, task)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads the output to the line that begins so, which it returns.
fn read_line(process: &mut Child, beginning: &str) -> String {
    let mut lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with(beginning)));
    line.unwrap_or_else(|| panic!("no {beginning} from the process")).unwrap()
}

fn open(path: &str) -> OwnedFd {
    OpenOptions::new().read(true).write(true).open(path).unwrap().into()
}

#[test]
#[ignore = "the other tests run it as a process"]
fn a_process() {
    let task = std::env::var(TASK).unwrap();
    let words: Vec<_> = task.split(' ').collect();
    let table = ClientTable::adopt(open(words[1])).unwrap();
    match words[0] {
        "count" => {
            let rule = table.rule(RuleTag::of("0"), per_hour(3, 3)).unwrap();
            for number in 0..2000 {
                let count = (0..4).filter(|_| is_allowed(&table, &rule, client(number))).count();
                print!("{}{count}", if number == 0 { "\ncounts " } else { "" });
            }
            println!();
        }
        "connect" => {
            let journal = ConnectionJournal::adopt(open(words[2])).unwrap();
            let journal = JournalWriter::new(journal);
            for round in 0_u32.. {
                let numbers = (0..20).map(|n| table.connect(client(n), 8, &journal, NOW));
                let numbers: Vec<_> = numbers.collect();
                if round == 0 {
                    println!("\nconnected");
                }
                for number in numbers {
                    let ConnectionCount::Counted(number) = number else { continue };
                    table.disconnect(number, &journal);
                }
            }
        }
        other => panic!("{other}"),
    }
}

#[test]
fn processes_do_not_multiply_a_limit() {
    let (table, [_]) = table([per_hour(3, 3)]);
    let mut processes: Vec<_> = (0..4).map(|_| start("count", &table, None)).collect();
    let mut sums: HashMap<usize, u32> = HashMap::new();
    for process in &mut processes {
        let line = read_line(process, "counts ");
        for (number, count) in line["counts ".len()..].bytes().enumerate() {
            *sums.entry(number).or_default() += u32::from(count - b'0');
        }
        process.wait().unwrap();
    }
    assert_eq!(sums.len(), 2000);
    assert!(sums.values().all(|sum| *sum == 3), "{sums:?}");
}

#[test]
fn the_connections_of_a_killed_process_are_subtracted_wherever_it_was() {
    let (table, []) = table([]);
    let journal = writer(1000);
    let own = table.connect(client(3), 8, &journal, NOW);
    assert!(matches!(own, ConnectionCount::Counted(_)));
    for _ in 0..20 {
        let journals = [(); 2].map(|()| ConnectionJournal::create(1000).unwrap());
        let mut processes: Vec<_> =
            journals.iter().map(|journal| start("connect", &table, Some(journal))).collect();
        for process in &mut processes {
            read_line(process, "connected");
        }
        for (process, journal) in processes.iter_mut().zip(&journals) {
            process.kill().unwrap();
            process.wait().unwrap();
            table.disconnect_all(journal);
        }
        // The number of one client may be too low while that has connections: never too high.
        for number in (0..20).filter(|number| *number != 3) {
            assert_eq!(free_connections(&table, client(number), 8), 8, "{number}");
        }
        assert!(free_connections(&table, client(3), 8) >= 7);
    }
}
