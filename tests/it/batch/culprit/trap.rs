//! A trigger that raises an error for the rows of one caller.

use crate::support::Ground;

pub(in crate::batch) struct Trap {
    ground: Ground,
    table: &'static str,
    number: usize,
    /// What the culprit calls itself, and nobody else.
    pub(in crate::batch) name: String,
    pub(super) neighbour: String,
}

impl std::fmt::Debug for Trap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.table)
    }
}

impl Trap {
    pub(in crate::batch) fn on(ground: &Ground, table: &'static str, number: usize) -> Self {
        Self {
            ground: ground.clone(),
            table,
            number,
            name: format!("culprit{number}x"),
            neighbour: format!("neighbour{number}"),
        }
    }

    /// From now on every change of a row that one of these marks is in fails.
    pub(in crate::batch) async fn set(&self, marks: &[String]) {
        let table = format!("stockroom_{}", self.table);
        if self.ground.schema().is_none() {
            for event in ["INSERT", "UPDATE", "DELETE"] {
                self.ground
                    .texts(&self.for_sqlite(&table, event, marks).await)
                    .await;
            }
            return;
        }
        // One error in three is of the kind that may pass when the batch is tried again.
        let code = if self.number.is_multiple_of(3) {
            "40001"
        } else {
            "23514"
        };
        let function = format!(
            "CREATE FUNCTION it_trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF lower(coalesce(NEW::text, OLD::text)) ~ '{}' THEN \
             RAISE EXCEPTION 'the culprit was met' USING ERRCODE = '{code}'; END IF; RETURN NULL; END $$",
            marks.join("|")
        );
        self.ground.texts(&function).await;
        let trigger = format!(
            "CREATE TRIGGER it_trap AFTER INSERT OR UPDATE OR DELETE ON {table} \
             FOR EACH ROW EXECUTE FUNCTION it_trap()"
        );
        self.ground.texts(&trigger).await;
    }

    async fn for_sqlite(&self, table: &str, event: &str, marks: &[String]) -> String {
        let columns = self
            .ground
            .texts(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .await;
        let row = if event == "DELETE" { "OLD" } else { "NEW" };
        let text: Vec<_> = columns
            .iter()
            .map(|column| format!("quote({row}.{column})"))
            .collect();
        let found: Vec<_> = marks
            .iter()
            .map(|mark| format!("instr(lower({}), '{mark}') > 0", text.join(" || ',' || ")))
            .collect();
        format!(
            "CREATE TRIGGER it_trap_{event} AFTER {event} ON {table} WHEN {} \
             BEGIN SELECT RAISE(ABORT, 'the culprit was met'); END",
            found.join(" OR ")
        )
    }

    pub(in crate::batch) async fn take_away(&self) {
        if self.ground.schema().is_some() {
            self.ground.texts("DROP FUNCTION it_trap() CASCADE").await;
            return;
        }
        for event in ["INSERT", "UPDATE", "DELETE"] {
            self.ground.texts(&format!("DROP TRIGGER it_trap_{event}")).await;
        }
    }
}
