//! From write sets to the payload of one database transaction.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use uuid::Uuid;

use super::rows::Rows;
use super::tables::Change;
use super::tables::Root;
use super::tables::Verb;
use super::tables::write_key;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::HoldId;
use crate::model::LocationId;
use crate::model::MovementKind;
use crate::model::RowKey;
use crate::model::Settlement;
use crate::model::Sku;
use crate::model::Version;
use crate::spi::store::CartLineStep;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::Parts;
use crate::spi::store::Put;
use crate::spi::store::StockStep;
use crate::spi::store::WriteSet;

/// A bound that every stored counter is above.
const UNBOUNDED: i64 = -(1 << 62);

/// What the commit program is given: named lists of rows.
#[derive(Debug, Default)]
pub(super) struct Payload {
    lists: BTreeMap<String, Rows>,
    /// The holds that the batch releases.
    pub(super) released: Vec<Uuid>,
}

impl Payload {
    fn list(&mut self, name: impl Into<String>) -> &mut Rows {
        self.lists.entry(name.into()).or_default()
    }

    /// How much text the lists are.
    pub(super) fn bytes(&self) -> usize {
        self.lists.values().map(Rows::bytes).sum()
    }

    /// The lists that have rows, as JSON.
    pub(super) fn finish(self) -> BTreeMap<String, String> {
        self.lists
            .into_iter()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(name, rows)| (name, rows.finish()))
            .collect()
    }
}

/// What a row of an aggregate must be like for the batch to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RowNeed {
    writes: bool,
    low: i64,
    high: i64,
    live: bool,
}

/// How much of each counter must be there before the batch, so that each step finds what it needs in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) on_hand: i64,
    pub(super) allocated: i64,
    pub(super) held: i64,
    pub(super) available: i64,
}

/// The changes of a level so far, in the order of admission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) on_hand: i64,
    pub(super) allocated: i64,
    pub(super) held: i64,
    pub(super) available: i64,
}

impl Running {
    pub(super) fn add(&mut self, step: &StockStep) {
        self.on_hand = self.on_hand.saturating_add(step.on_hand);
        self.allocated = self.allocated.saturating_add(step.allocated);
        self.held = self.held.saturating_add(step.held);
        self.available = self.available.saturating_add(step.available());
    }
}

impl Needs {
    const NONE: Self = Self {
        on_hand: UNBOUNDED,
        allocated: UNBOUNDED,
        held: UNBOUNDED,
        available: UNBOUNDED,
    };

    /// Raises the bounds so that `step`, coming after what is `running`, finds what it takes and leaves no counter
    /// below zero.
    fn admit(&mut self, step: &StockStep, running: &Running) {
        if step.takes > 0 {
            self.available = self.available.max(step.takes - running.available);
        }
        let mut after = *running;
        after.add(step);
        let below = |change: i64, after: i64| if change < 0 { -after } else { UNBOUNDED };
        self.on_hand = self.on_hand.max(below(step.on_hand, after.on_hand));
        self.allocated = self.allocated.max(below(step.allocated, after.allocated));
        self.held = self.held.max(below(step.held, after.held));
    }
}

/// A level's key, borrowed from its write set.
pub(super) type LevelKey = (Sku, LocationId);

/// The payload of a batch, and where in it the facts that come back belong.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) payload: Payload,
    /// Whether anything is written; a batch that only validates reads leaves no commit row.
    pub(super) writes: bool,
    /// Position of each row in the check list of its root.
    pub(super) rows: BTreeMap<(Aggregate, RowKey), usize>,
    pub(super) levels: BTreeMap<LevelKey, usize>,
    pub(super) lines: BTreeMap<(Uuid, String), usize>,
    pub(super) claims: BTreeMap<(String, String), usize>,
}

/// What the batch does to a level altogether.
#[derive(Debug)]
struct LevelWork {
    needs: Needs,
    running: Running,
    creates: bool,
}

/// A unique key that the batch takes.
#[derive(Debug)]
struct Taken {
    owner: Uuid,
    /// Of an idempotency key, which is taken once only.
    fingerprint: Option<String>,
    /// Who gives the key up in the same batch.
    from: Option<Uuid>,
}

/// Lays out the write sets of one database transaction; they must not [collide](Footprint).
pub(super) fn lay_out(sets: &[&WriteSet]) -> Result<Plan> {
    let mut plan = Plan {
        writes: sets.iter().any(|set| !set.is_read_only()),
        ..Plan::default()
    };
    plan.row_needs(sets)?;
    plan.stock(sets);
    plan.lines(sets);
    plan.claims(sets);
    for (index, set) in sets.iter().enumerate() {
        plan.puts(set)?;
        plan.deletes(index, set)?;
        plan.record(index, set)?;
    }
    plan.settlements(sets)?;
    Ok(plan)
}

impl Plan {
    fn row_needs(&mut self, sets: &[&WriteSet]) -> Result<()> {
        let mut needs: BTreeMap<(Aggregate, RowKey), RowNeed> = BTreeMap::new();
        for (place, need) in sets.iter().flat_map(|set| needs_of(set)) {
            needs
                .entry(place)
                .and_modify(|known| {
                    known.writes |= need.writes;
                    known.low = known.low.max(need.low);
                    known.high = known.high.min(need.high);
                    known.live |= need.live;
                })
                .or_insert(need);
        }
        let mut counts: BTreeMap<Aggregate, usize> = BTreeMap::new();
        for ((aggregate, key), need) in needs {
            let root = Root::of(aggregate)?;
            let n = counts.entry(aggregate).or_default();
            let mut row = self.payload.list(format!("check_{}", root.table)).row();
            row.int(signed(*n));
            write_key(&key, &mut row);
            row.int(i64::from(need.writes));
            row.int(need.low);
            row.int(need.high);
            row.int(i64::from(need.live));
            drop(row);
            self.rows.insert((aggregate, key), *n);
            *n += 1;
        }
        Ok(())
    }

    fn stock(&mut self, sets: &[&WriteSet]) {
        let mut work: BTreeMap<LevelKey, LevelWork> = BTreeMap::new();
        let blank = || LevelWork {
            needs: Needs::NONE,
            running: Running::default(),
            creates: false,
        };
        for delta in sets.iter().flat_map(|set| &set.deltas) {
            match delta {
                Delta::Stock(step) => {
                    let level = work
                        .entry((step.sku.clone(), step.location.clone()))
                        .or_insert_with(blank);
                    level.needs.admit(step, &level.running);
                    level.running.add(step);
                    level.creates |= step.on_hand > 0;
                    self.step(step);
                }
                Delta::Unhold { hold, levels } => {
                    self.payload.released.push(hold.uuid());
                    for level in levels {
                        work.entry(level.clone()).or_insert_with(blank);
                    }
                }
                Delta::CartLine(_) | Delta::Order { .. } | Delta::Payment { .. } => {}
            }
        }
        for (n, ((sku, location), level)) in work.into_iter().enumerate() {
            let mut row = self.payload.list("need_levels").row();
            row.int(signed(n));
            row.text(sku.as_str());
            row.text(location.as_str());
            row.int(level.needs.on_hand);
            row.int(level.needs.allocated);
            row.int(level.needs.held);
            row.int(level.needs.available);
            drop(row);
            if level.creates {
                let mut row = self.payload.list("create_levels").row();
                row.text(sku.as_str());
                row.text(location.as_str());
            }
            let mut row = self.payload.list("delta_levels").row();
            row.text(sku.as_str());
            row.text(location.as_str());
            row.int(level.running.on_hand);
            row.int(level.running.allocated);
            row.int(level.running.held);
            drop(row);
            self.levels.insert((sku, location), n);
        }
    }

    fn step(&mut self, step: &StockStep) {
        let mut row = self.payload.list("insert_movements").row();
        row.text(step.sku.as_str());
        row.text(step.location.as_str());
        row.text(step.kind.as_str());
        row.int(step.on_hand);
        row.int(step.allocated);
        row.int(step.held);
        row.opt_id(step.reference);
        row.opt_text(step.note.as_deref());
        drop(row);
        if let (MovementKind::Hold, Some((hold, ttl))) = (step.kind, step.hold) {
            let mut row = self.payload.list("insert_holds").row();
            row.id(hold.uuid());
            row.text(step.sku.as_str());
            row.text(step.location.as_str());
            row.int(step.held);
            row.distance(ttl);
        }
    }

    fn lines(&mut self, sets: &[&WriteSet]) {
        let mut more: BTreeMap<(Uuid, String), (i64, &CartLineStep)> = BTreeMap::new();
        let mut carts: BTreeMap<Uuid, &CartLineStep> = BTreeMap::new();
        for delta in sets.iter().flat_map(|set| &set.deltas) {
            let Delta::CartLine(step) = delta else { continue };
            let place = (step.cart.uuid(), step.line.key.as_str().to_owned());
            more.entry(place).or_insert((0, step)).0 += step.line.quantity.get();
            let life = carts.entry(step.cart.uuid()).or_insert(step);
            if step.ttl > life.ttl {
                *life = step;
            }
        }
        for (n, (place, (quantity, step))) in more.into_iter().enumerate() {
            let mut row = self.payload.list("need_lines").row();
            row.int(signed(n));
            row.id(place.0);
            row.text(&place.1);
            row.int(quantity);
            drop(row);
            let mut row = self.payload.list("add_cart_lines").row();
            super::tables::cart::write_line(place.0, &step.line, quantity, &mut row);
            drop(row);
            self.lines.insert(place, n);
        }
        for (cart, step) in carts {
            let mut row = self.payload.list("delta_carts").row();
            row.id(cart);
            row.distance(step.ttl);
        }
    }

    fn claims(&mut self, sets: &[&WriteSet]) {
        let released: BTreeMap<(&str, String), Uuid> = sets
            .iter()
            .flat_map(|set| set.all_releases())
            .map(|(key, owner)| ((key.space, key.key), owner))
            .collect();
        for ((space, key), owner) in &released {
            let mut row = self.payload.list("release_claims").row();
            row.text(space);
            row.text(key);
            row.id(*owner);
        }
        let mut taken: BTreeMap<(String, String), Taken> = BTreeMap::new();
        for set in sets {
            for claim in set.all_claims() {
                let from = released.get(&(claim.key.space, claim.key.key.clone())).copied();
                let claimed = Taken {
                    owner: claim.owner,
                    fingerprint: None,
                    from,
                };
                taken.insert((claim.key.space.to_owned(), claim.key.key), claimed);
            }
            if let Some(key) = &set.idempotency {
                let place = (Idempotency::space(&key.scope), key.key.as_str().to_owned());
                let claimed = Taken {
                    owner: key.owner,
                    fingerprint: Some(hex(&key.fingerprint)),
                    from: None,
                };
                taken.insert(place, claimed);
            }
        }
        for (
            n,
            (
                (space, key),
                Taken {
                    owner,
                    fingerprint,
                    from,
                },
            ),
        ) in taken.into_iter().enumerate()
        {
            let mut row = self.payload.list("claims").row();
            row.int(signed(n));
            row.text(&space);
            row.text(&key);
            row.id(owner);
            row.opt_text(fingerprint.as_deref());
            row.int(i64::from(fingerprint.is_some()));
            row.opt_id(from);
            drop(row);
            self.claims.insert((space, key), n);
        }
    }

    fn puts(&mut self, set: &WriteSet) -> Result<()> {
        for put in &set.puts {
            let root = Root::of(put.record.aggregate())?;
            let (verb, list, version) = match put.expected {
                None => (Verb::Insert, "insert", Version::FIRST),
                Some(expected) => (Verb::Update, "update", expected.next()),
            };
            let mut row = self.payload.list(format!("{list}_{}", root.table)).row();
            root.write(&put.record, version, verb, &mut row);
            drop(row);
            self.put_parts(root, put);
        }
        Ok(())
    }

    fn put_parts(&mut self, root: &Root, put: &Put) {
        let (Some(part), Parts::Whole) = (root.part, put.parts) else {
            return;
        };
        if let (Some(_), RowKey::Id(owner)) = (put.expected, put.record.key()) {
            self.payload.list(format!("clear_{}", part.table)).row().id(owner);
        }
        (root.parts)(&put.record, self.payload.list(format!("insert_{}", part.table)));
    }

    fn deletes(&mut self, index: usize, set: &WriteSet) -> Result<()> {
        for delete in &set.deletes {
            let root = Root::of(delete.aggregate)?;
            write_key(
                &delete.key,
                &mut self.payload.list(format!("delete_{}", root.table)).row(),
            );
            if let (Some(part), RowKey::Id(owner)) = (root.part, &delete.key) {
                self.payload
                    .list(format!("clear_{}", part.table))
                    .row()
                    .id(*owner);
            }
            let (actor, events) = author(set);
            let mut row = self.payload.list("record_deletes").row();
            row.int(signed(index));
            row.text("delete");
            row.text(&actor);
            row.text(&events);
            row.text(delete.aggregate.as_str());
            row.text(&key_text(&delete.key));
            row.int(delete.expected.next().stored());
        }
        Ok(())
    }

    fn record(&mut self, index: usize, set: &WriteSet) -> Result<()> {
        let (actor, events) = author(set);
        let put: BTreeSet<_> = set
            .puts
            .iter()
            .map(|put| (put.record.aggregate(), put.record.key()))
            .collect();
        let deleted: BTreeSet<_> = set
            .deletes
            .iter()
            .map(|gone| (gone.aggregate, gone.key.clone()))
            .collect();
        for place in set.touched() {
            if deleted.contains(&place) {
                continue;
            }
            let root = Root::of(place.0)?;
            let mut row = self.payload.list(format!("record_{}", root.table)).row();
            row.int(signed(index));
            row.text(if put.contains(&place) { "put" } else { "delta" });
            row.text(&actor);
            row.text(&events);
            write_key(&place.1, &mut row);
        }
        Ok(())
    }

    fn settlements(&mut self, sets: &[&WriteSet]) -> Result<()> {
        let mut sums: BTreeMap<(Aggregate, Uuid), Settlement> = BTreeMap::new();
        for delta in sets.iter().flat_map(|set| &set.deltas) {
            let (place, settled) = match delta {
                Delta::Order { order, settled } => ((Aggregate::Order, order.uuid()), settled),
                Delta::Payment { payment, settled } => ((Aggregate::Payment, payment.uuid()), settled),
                Delta::Stock(_) | Delta::Unhold { .. } | Delta::CartLine(_) => continue,
            };
            let sum = sums.entry(place).or_default();
            sum.authorized = sum.authorized.saturating_add(settled.authorized);
            sum.captured = sum.captured.saturating_add(settled.captured);
            sum.refunded = sum.refunded.saturating_add(settled.refunded);
        }
        for ((aggregate, id), sum) in sums {
            let root = Root::of(aggregate)?;
            debug_assert!(matches!(
                root.delta,
                [Change::Add(_), Change::Add(_), Change::Add(_)]
            ));
            let mut row = self.payload.list(format!("delta_{}", root.table)).row();
            row.id(id);
            row.int(sum.authorized);
            row.int(sum.captured);
            row.int(sum.refunded);
        }
        Ok(())
    }
}

fn needs_of(set: &WriteSet) -> Vec<((Aggregate, RowKey), RowNeed)> {
    let exact = |version: Option<Version>| version.map_or(0, Version::stored);
    let mut needs = Vec::new();
    for put in &set.puts {
        let version = exact(put.expected);
        let need = RowNeed {
            writes: true,
            low: version,
            high: version,
            live: put.live,
        };
        needs.push(((put.record.aggregate(), put.record.key()), need));
    }
    for delete in &set.deletes {
        let version = exact(Some(delete.expected));
        let need = RowNeed {
            writes: true,
            low: version,
            high: version,
            live: false,
        };
        needs.push(((delete.aggregate, delete.key.clone()), need));
    }
    for read in &set.reads {
        let version = exact(read.version);
        let need = RowNeed {
            writes: false,
            low: version,
            high: version,
            live: false,
        };
        needs.push(((read.aggregate, read.key.clone()), need));
    }
    for delta in &set.deltas {
        let (low, live) = match delta {
            Delta::Stock(_) | Delta::Unhold { .. } => (0, false),
            Delta::CartLine(_) => (1, true),
            Delta::Order { .. } | Delta::Payment { .. } => (1, false),
        };
        let need = RowNeed {
            writes: true,
            low,
            high: i64::MAX,
            live,
        };
        needs.extend(delta.touched().into_iter().map(|place| (place, need)));
    }
    needs
}

fn author(set: &WriteSet) -> (String, String) {
    let names: Vec<&str> = set.events.iter().map(|event| event.name.as_str()).collect();
    (
        set.actor.to_string(),
        serde_json::to_string(&names).unwrap_or_else(|_| "[]".to_owned()),
    )
}

/// A key as the history writes it.
pub(super) fn key_text(key: &RowKey) -> String {
    match key {
        RowKey::Id(id) => id.to_string(),
        RowKey::Level(sku, location) => format!("{sku}@{location}"),
    }
}

/// Reads a key as the history writes it.
pub(super) fn parse_key(text: &str) -> Option<RowKey> {
    if let Some((sku, location)) = text.split_once('@') {
        return Some(RowKey::Level(
            Sku::new(sku).ok()?,
            LocationId::new(location).ok()?,
        ));
    }
    Uuid::parse_str(text).ok().map(RowKey::Id)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The rows and keys of the sets in a batch: what collides waits for the next batch.
#[derive(Debug, Default)]
pub(super) struct Footprint {
    owned: BTreeSet<(Aggregate, RowKey)>,
    changed: BTreeSet<(Aggregate, RowKey)>,
    read: BTreeSet<(Aggregate, RowKey)>,
    keys: BTreeSet<(String, String)>,
    holds: BTreeSet<HoldId>,
}

impl Footprint {
    /// Takes the set in, unless it collides with one that is in already.
    ///
    /// A row has one put, or many deltas, or many reads; a unique key and a hold have one set.
    pub(super) fn admit(&mut self, set: &WriteSet) -> bool {
        let mut own = Self::default();
        own.owned.extend(
            set.puts
                .iter()
                .map(|put| (put.record.aggregate(), put.record.key())),
        );
        own.owned
            .extend(set.deletes.iter().map(|gone| (gone.aggregate, gone.key.clone())));
        own.changed.extend(set.deltas.iter().flat_map(Delta::touched));
        own.read
            .extend(set.reads.iter().map(|read| (read.aggregate, read.key.clone())));
        own.keys.extend(
            set.all_claims()
                .into_iter()
                .map(|claim| (claim.key.space.to_owned(), claim.key.key)),
        );
        own.keys.extend(
            set.all_releases()
                .into_iter()
                .map(|(key, _)| (key.space.to_owned(), key.key)),
        );
        own.keys.extend(
            set.idempotency
                .iter()
                .map(|key| (Idempotency::space(&key.scope), key.key.as_str().to_owned())),
        );
        own.holds
            .extend(set.deltas.iter().filter_map(|delta| match delta {
                Delta::Unhold { hold, .. } => Some(*hold),
                _ => None,
            }));
        let free = own.owned.is_disjoint(&self.owned)
            && own.owned.is_disjoint(&self.changed)
            && own.owned.is_disjoint(&self.read)
            && own.changed.is_disjoint(&self.owned)
            && own.changed.is_disjoint(&self.read)
            && own.read.is_disjoint(&self.owned)
            && own.read.is_disjoint(&self.changed)
            && own.keys.is_disjoint(&self.keys)
            && own.holds.is_disjoint(&self.holds);
        if free {
            self.owned.append(&mut own.owned);
            self.changed.append(&mut own.changed);
            self.read.append(&mut own.read);
            self.keys.append(&mut own.keys);
            self.holds.append(&mut own.holds);
        }
        free
    }
}
