// SPDX-License-Identifier: GPL-2.0-only

//! Runs a few tasks in every order that matters, with a memory that is as weak as the language allows.
//!
//! One task runs at a time; before each operation on an atomic, a lock or a fence the next one to run is chosen, and an
//! atomic is loaded from any store that the loading task may still see: all choices are tried, one execution after the
//! other, depth first. A switch away from a task that could go on is made only so many times in an execution
//! ([`Limits::preemptions`]), which keeps the number of executions small: what goes wrong does so with few.
//!
//! The memory is that of release and acquire: each task has a view, which says the oldest store of each atomic that it
//! may still see; a store with release order carries the view along, a load with acquire order takes it over. Operations
//! with sequential consistency see at least the last of the same atomic, and fences of that order take over each other's
//! views. A load never sees a store that is still to come.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// How far the tasks are explored.
#[derive(Clone, Copy)]
pub struct Limits {
    /// How often in an execution a task is switched away from that could go on.
    pub preemptions: usize,
    /// How many operations an execution has at most: more are an endless loop.
    pub operations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            preemptions: 3,
            operations: 2000,
        }
    }
}

/// The oldest store that may still be seen, of each atomic.
#[derive(Clone, Default)]
struct View(Vec<usize>);

impl View {
    fn get(&self, place: usize) -> usize {
        self.0.get(place).copied().unwrap_or(0)
    }

    fn raise(&mut self, place: usize, store: usize) {
        if self.0.len() <= place {
            self.0.resize(place + 1, 0);
        }
        self.0[place] = self.0[place].max(store);
    }

    fn join(&mut self, other: &View) {
        for (place, store) in other.0.iter().enumerate() {
            self.raise(place, *store);
        }
    }
}

struct Store {
    value: u64,
    /// What a load with acquire order of this store takes over.
    carried: View,
}

#[derive(Default)]
struct Place {
    stores: Vec<Store>,
    /// The last with sequential consistency.
    last_sc: usize,
}

#[derive(Default)]
struct LockState {
    is_held: bool,
    carried: View,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Ready,
    /// For that lock.
    Waiting(usize),
    Done,
}

/// One execution.
#[derive(Default)]
struct Execution {
    places: Vec<Place>,
    locks: Vec<LockState>,
    tasks: Vec<Task>,
    views: Vec<View>,
    fences: View,
    running: usize,
    preemptions: usize,
    operations: usize,
    limits: Limits,
    /// The choices: what was chosen, and of how many.
    path: Vec<(usize, usize)>,
    /// How many of them were made in this execution.
    made: usize,
    failed: Option<String>,
}

impl Execution {
    fn choose(&mut self, of: usize) -> usize {
        if of <= 1 {
            return 0;
        }
        if self.made == self.path.len() {
            self.path.push((0, of));
        }
        let (chosen, among) = self.path[self.made];
        assert_eq!(among, of, "the tasks do not do the same each time");
        self.made += 1;
        chosen
    }

    /// The next path, if there is one.
    fn advance(&mut self) -> bool {
        while let Some((chosen, of)) = self.path.pop() {
            if chosen + 1 < of {
                self.path.push((chosen + 1, of));
                return true;
            }
        }
        false
    }

    /// Chooses who runs next; the running task first, if it can.
    fn switch(&mut self) {
        let can_go_on = self.tasks[self.running] == Task::Ready;
        let mut ready: Vec<usize> = (0..self.tasks.len())
            .filter(|task| self.tasks[*task] == Task::Ready && *task != self.running)
            .collect();
        if can_go_on {
            if self.preemptions == self.limits.preemptions {
                return;
            }
            ready.insert(0, self.running);
        }
        if ready.is_empty() {
            if self.tasks.iter().any(|task| *task != Task::Done) {
                self.failed
                    .get_or_insert("all tasks wait for each other".into());
            }
            return;
        }
        let chosen = ready[self.choose(ready.len())];
        if can_go_on && chosen != self.running {
            self.preemptions += 1;
        }
        self.running = chosen;
    }

    fn view(&mut self) -> &mut View {
        &mut self.views[self.running]
    }
}

struct Shared {
    execution: Mutex<Execution>,
    turn: Condvar,
}

thread_local! {
    static CURRENT: Cell<Option<(&'static Shared, usize)>> = const { Cell::new(None) };
}

/// Ends a task whose execution has failed elsewhere.
struct GivenUp;

fn locked(shared: &Shared) -> MutexGuard<'_, Execution> {
    shared
        .execution
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

fn current() -> (&'static Shared, usize) {
    CURRENT.get().expect("only within explore()")
}

/// Lets others run first, perhaps, and then does `f`, with nobody between.
fn operation<R>(f: impl FnOnce(&mut Execution) -> R) -> R {
    let (shared, me) = current();
    let mut execution = locked(shared);
    if !std::thread::panicking() {
        execution.operations += 1;
        if execution.operations > execution.limits.operations {
            execution.failed.get_or_insert("it goes on for ever".into());
        }
        execution.switch();
        execution = await_turn(shared, execution, me);
    }
    f(&mut execution)
}

fn await_turn(
    shared: &'static Shared,
    mut execution: MutexGuard<'static, Execution>,
    me: usize,
) -> MutexGuard<'static, Execution> {
    if execution.running != me || execution.failed.is_some() {
        shared.turn.notify_all();
    }
    while execution.running != me && execution.failed.is_none() {
        execution = shared
            .turn
            .wait(execution)
            .unwrap_or_else(PoisonError::into_inner);
    }
    if execution.failed.is_some() {
        drop(execution);
        std::panic::resume_unwind(Box::new(GivenUp));
    }
    execution
}

fn acquires(order: Ordering) -> bool {
    matches!(
        order,
        Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst
    )
}

fn releases(order: Ordering) -> bool {
    matches!(
        order,
        Ordering::Release | Ordering::AcqRel | Ordering::SeqCst
    )
}

/// A word that tasks share.
#[derive(Debug)]
pub struct Word(usize);

impl Word {
    pub fn new(value: u64) -> Self {
        let (shared, _) = current();
        let mut execution = locked(shared);
        let carried = execution.view().clone();
        execution.places.push(Place {
            stores: vec![Store { value, carried }],
            last_sc: 0,
        });
        Self(execution.places.len() - 1)
    }

    pub fn load(&self, order: Ordering) -> u64 {
        operation(|execution| {
            let last = execution.places[self.0].stores.len() - 1;
            let mut oldest = execution.view().get(self.0);
            if order == Ordering::SeqCst {
                oldest = oldest.max(execution.places[self.0].last_sc);
            }
            // The newest first.
            let seen = last - execution.choose(last - oldest + 1);
            self.see(execution, seen, order)
        })
    }

    fn see(&self, execution: &mut Execution, seen: usize, order: Ordering) -> u64 {
        execution.view().raise(self.0, seen);
        let store = &execution.places[self.0].stores[seen];
        let value = store.value;
        if acquires(order) {
            let carried = store.carried.clone();
            execution.view().join(&carried);
        }
        value
    }

    pub fn store(&self, value: u64, order: Ordering) {
        operation(|execution| self.append(execution, value, order, View::default()));
    }

    fn append(&self, execution: &mut Execution, value: u64, order: Ordering, before: View) {
        let new = execution.places[self.0].stores.len();
        execution.view().raise(self.0, new);
        let mut carried = before;
        if releases(order) {
            carried.join(&execution.view().clone());
        }
        let place = &mut execution.places[self.0];
        place.stores.push(Store { value, carried });
        if order == Ordering::SeqCst {
            place.last_sc = new;
        }
    }

    /// Replaces the value, which is the last that was stored, by what `f` says; gives the old one.
    pub fn update(
        &self,
        order: Ordering,
        on_failure: Ordering,
        f: impl FnOnce(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        operation(|execution| {
            let last = execution.places[self.0].stores.len() - 1;
            match f(execution.places[self.0].stores[last].value) {
                Some(new) => {
                    let old = self.see(execution, last, order);
                    // What is carried by a store is carried on by those that replace it.
                    let before = execution.places[self.0].stores[last].carried.clone();
                    self.append(execution, new, order, before);
                    Ok(old)
                }
                None => Err(self.see(execution, last, on_failure)),
            }
        })
    }
}

/// As `core::sync::atomic::fence(SeqCst)`.
pub fn fence() {
    operation(|execution| {
        let mut all = std::mem::take(&mut execution.fences);
        all.join(execution.view());
        execution.view().join(&all);
        execution.fences = all;
    });
}

/// A lock that tasks wait for.
#[derive(Debug)]
pub struct Lock {
    number: usize,
    /// Whether somebody has it, as those see it who do not wait: it may be said to be held for a while after it was
    /// given back.
    word: Word,
}

impl Lock {
    pub fn new() -> Self {
        let word = Word::new(0);
        let (shared, _) = current();
        let mut execution = locked(shared);
        execution.locks.push(LockState::default());
        Self {
            number: execution.locks.len() - 1,
            word,
        }
    }

    fn take(&self, execution: &mut Execution) -> bool {
        let lock = &mut execution.locks[self.number];
        if std::mem::replace(&mut lock.is_held, true) {
            return false;
        }
        let carried = lock.carried.clone();
        execution.view().join(&carried);
        self.word
            .append(execution, 1, Ordering::Acquire, View::default());
        true
    }

    pub fn lock(&self) {
        let (shared, me) = current();
        let mut taken = operation(|execution| self.take(execution));
        while !taken {
            let mut execution = locked(shared);
            if execution.locks[self.number].is_held {
                execution.tasks[me] = Task::Waiting(self.number);
                execution.switch();
                execution = await_turn(shared, execution, me);
            }
            taken = self.take(&mut execution);
        }
    }

    pub fn try_lock(&self) -> bool {
        // As a mutex of the kernel: it looks first, without any order.
        if self.word.load(Ordering::Relaxed) == 1 {
            return false;
        }
        operation(|execution| self.take(execution))
    }

    pub fn unlock(&self) {
        operation(|execution| {
            let view = execution.view().clone();
            let lock = &mut execution.locks[self.number];
            lock.is_held = false;
            lock.carried.join(&view);
            for task in &mut execution.tasks {
                if *task == Task::Waiting(self.number) {
                    *task = Task::Ready;
                }
            }
            self.word
                .append(execution, 0, Ordering::Release, View::default());
        });
    }
}

/// The tasks of a scenario, which begin when all are there.
#[derive(Default)]
pub struct Tasks(Vec<Box<dyn FnOnce() + Send>>);

impl Tasks {
    pub fn add(&mut self, task: impl FnOnce() + Send + 'static) {
        self.0.push(Box::new(task));
    }
}

/// What a scenario has after its tasks.
pub type After = Box<dyn FnOnce()>;

/// Runs a scenario in every order. It makes what is shared, says what the tasks do, and gives what is to be
/// true when all have ended; a panic anywhere is an error.
///
/// # Panics
///
/// With what went wrong.
pub fn explore(limits: Limits, scenario: impl Fn(&mut Tasks) -> After) -> usize {
    let mut path = Vec::new();
    let mut executions = 0;
    loop {
        executions += 1;
        let execution = Execution {
            path: std::mem::take(&mut path),
            limits,
            // Who sets up, and looks at what is left.
            tasks: vec![Task::Ready],
            views: vec![View::default()],
            ..Execution::default()
        };
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            execution: Mutex::new(execution),
            turn: Condvar::new(),
        }));
        once(shared, &scenario);
        let mut execution = locked(shared);
        if let Some(failed) = &execution.failed {
            panic!(
                "{failed}, in execution {executions}, choices {:?}",
                &execution.path[..execution.made]
            );
        }
        if !execution.advance() {
            return executions;
        }
        path = std::mem::take(&mut execution.path);
        *execution = Execution::default();
    }
}

fn once(shared: &'static Shared, scenario: &impl Fn(&mut Tasks) -> After) {
    CURRENT.set(Some((shared, 0)));
    let mut tasks = Tasks::default();
    let after = scenario(&mut tasks);
    {
        let mut execution = locked(shared);
        let view = execution.views[0].clone();
        execution.tasks = vec![Task::Done];
        execution.operations = 0;
        for _ in &tasks.0 {
            execution.tasks.push(Task::Ready);
            execution.views.push(view.clone());
        }
    }
    std::thread::scope(|scope| {
        for (at, task) in tasks.0.into_iter().enumerate() {
            scope.spawn(move || run(shared, at + 1, task));
        }
        let mut execution = locked(shared);
        execution.switch();
        shared.turn.notify_all();
    });
    let mut execution = locked(shared);
    let views = std::mem::take(&mut execution.views);
    execution.views = vec![View::default()];
    views.iter().for_each(|view| execution.views[0].join(view));
    execution.tasks = vec![Task::Ready];
    execution.running = 0;
    let has_failed = execution.failed.is_some();
    drop(execution);
    if !has_failed {
        after();
    }
    CURRENT.set(None);
}

fn run(shared: &'static Shared, me: usize, task: Box<dyn FnOnce() + Send>) {
    CURRENT.set(Some((shared, me)));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(await_turn(shared, locked(shared), me));
        task();
    }));
    let mut execution = locked(shared);
    if let Err(what) = result {
        if !what.is::<GivenUp>() {
            let what = what
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| what.downcast_ref::<&str>().map(|text| text.to_string()))
                .unwrap_or_default();
            execution.failed.get_or_insert(what);
        }
    }
    execution.tasks[me] = Task::Done;
    if execution.failed.is_none() {
        execution.switch();
    }
    shared.turn.notify_all();
    CURRENT.set(None);
}
