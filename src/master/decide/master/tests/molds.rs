//! When molds are spawned and released, and what waits for them.

use super::*;

fn molds(actions: &[Action]) -> Vec<(u64, u32)> {
    let molds = actions.iter().filter_map(|action| match action {
        Action::SpawnMold { worker, generation } => Some((worker.0, generation.0)),
        _ => None,
    });
    molds.collect()
}

#[test]
fn workers_wait_for_their_mold_and_the_old_mold_goes_when_the_new_generation_serves() {
    let preload = || MasterSettings { preload: true, ..settings(1) };
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    let actions = bench.read(2, preload());
    assert_eq!((spawned(&actions), molds(&actions)), (vec![], vec![(1, 2)]));
    assert_eq!(spawned(&bench.ready(1)), [(0, 2)]);
    assert_eq!(drained(&bench.ready(2)), [(0, Drain::Retire)]);
    bench.exit(0, ExitStatus::Code(0));
    bench.ask(SignalCommand::Reload);
    assert_eq!(molds(&bench.read(3, preload())), [(3, 3)]);
    let actions = bench.fail(3);
    assert!(
        actions
            .iter()
            .any(|it| matches!(it, Action::KeepGeneration { generation: Generation(2), .. }))
    );
    bench.exit(3, ExitStatus::Code(3));
    bench.exit(2, ExitStatus::Signal(9));
    assert_eq!(spawned(&bench.pass(SECOND)), [(0, 2)]);
    bench.ready(4);
    bench.ask(SignalCommand::Reload);
    assert_eq!(molds(&bench.read(4, preload())), [(5, 4)]);
    bench.ready(5);
    assert_eq!(drained(&bench.ready(6)), [(4, Drain::Retire)]);
    assert!(!bench.roster_leaves(1), "a worker may still need what the old mold has");
    bench.exit(4, ExitStatus::Code(0));
    assert!(bench.roster_leaves(1), "the old mold goes");
}

#[test]
fn a_mold_that_dies_is_replaced_and_workers_go_on() {
    let mut bench = MasterBench::serving(1);
    bench.ask(SignalCommand::Reload);
    bench.read(2, MasterSettings { preload: true, ..settings(1) });
    bench.ready(1);
    bench.ready(2);
    bench.exit(0, ExitStatus::Code(0));
    assert_eq!(molds(&bench.exit(1, ExitStatus::Signal(9))), []);
    assert_eq!(bench.logged("mold gen=2 died"), 1);
    assert_eq!(molds(&bench.pass(SECOND)), [(3, 2)]);
}
