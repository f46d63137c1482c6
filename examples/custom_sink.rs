//! A sink of one's own: messages to customers, fed from the changes of a shop.
//!
//! ```text
//! cargo run --example custom_sink
//! ```
//!
//! The sink tells a customer about each placed order, once, although changes are delivered at least once; its mail
//! server is down at first; one address is refused for good. What it shows is checked at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::Aggregate;
use stockroom::ChangeSink;
use stockroom::Currency;
use stockroom::Delivery;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::IdempotencyKey;
use stockroom::LocationId;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::OrderId;
use stockroom::Owner;
use stockroom::PageRequest;
use stockroom::Place;
use stockroom::Result;
use stockroom::SinkPolicy;
use stockroom::Stockroom;
use stockroom::resilience::Backoff;
use stockroom::resilience::Deadline;
use tokio::sync::watch;

/// A mail server that is down for its first three calls, and refuses one address until that is mended.
#[derive(Debug, Default)]
struct MailServer {
    calls: u32,
    refused: Option<String>,
    sent: Vec<String>,
}

impl MailServer {
    fn send(&mut self, to: &str) -> Result<()> {
        self.calls += 1;
        if self.calls <= 3 {
            // `Unavailable` may be repeated: the relay comes again, for as long as it takes.
            return Err(Error::new(ErrorKind::Unavailable, "the mail server is down"));
        }
        if self.refused.as_deref() == Some(to) {
            // `InvalidInput` will not get better by itself: a few tries, then a dead letter.
            return Err(Error::invalid("email", "the mail server refuses the address"));
        }
        self.sent.push(to.to_owned());
        Ok(())
    }
}

/// Tells customers about their orders.
#[derive(Debug)]
struct Confirmations {
    shop: watch::Receiver<Option<Stockroom>>,
    server: Mutex<MailServer>,
    /// The orders that were told about. A real sink keeps this beside its messages, not in memory.
    told: Mutex<BTreeMap<OrderId, u64>>,
    moved: watch::Sender<()>,
}

impl Confirmations {
    /// What it does with one change. It carries ids and versions: whatever else is needed is read.
    async fn confirm(&self, id: OrderId) -> Result<()> {
        if self
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&id)
        {
            return Ok(());
        }
        let shop = self.shop.borrow().clone();
        let Some(shop) = shop else {
            return Err(Error::new(ErrorKind::Unavailable, "the shop is still opening"));
        };
        let order = shop.orders().require(id).await?;
        let to = order.email.as_deref().unwrap_or("nobody@example.com");
        self.server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(to)?;
        let version = order.version.get();
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, version);
        self.moved.send_replace(());
        Ok(())
    }

    fn sent(&self) -> Vec<String> {
        self.server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sent
            .clone()
    }

    async fn until_sent(&self, count: usize) -> Result<()> {
        let mut moved = self.moved.subscribe();
        while self.sent().len() < count {
            let waited = tokio::time::timeout(Duration::from_secs(30), moved.changed()).await;
            waited
                .map_err(|_| Error::new(ErrorKind::Timeout, "the messages did not come"))?
                .ok();
        }
        Ok(())
    }
}

#[async_trait]
impl ChangeSink for Confirmations {
    async fn deliver(&self, delivery: Delivery<'_>, _: Deadline) -> Result<()> {
        for change in delivery.changes {
            let placed = change.events.iter().any(|event| event == "order.placed");
            if let (Aggregate::Order, true, Some(id)) = (change.aggregate, placed, change.key.id()) {
                self.confirm(OrderId::from(id)).await?;
            }
        }
        Ok(())
    }

    async fn reset(&self, _: Deadline) -> Result<()> {
        // The shop was restored from a backup: its orders may be told about again.
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let (opened, shop) = watch::channel(None);
    let confirmations = Arc::new(Confirmations {
        shop,
        server: Mutex::new(MailServer {
            refused: Some("eve@example.com".to_owned()),
            ..MailServer::default()
        }),
        told: Mutex::default(),
        moved: watch::Sender::new(()),
    });
    let policy = SinkPolicy::new()
        .attempts(2)
        .pauses(Backoff::new(Duration::from_millis(10), Duration::from_millis(50)));
    let shop = Stockroom::builder()
        .url("sqlite::memory:")
        .sink_with("confirmations", confirmations.clone(), policy)
        .open()
        .await?;
    opened.send_replace(Some(shop.clone()));

    let price = Money::new(9_00, Currency::USD);
    shop.products()
        .create(NewProduct::new("Mug").variant("MUG", price))
        .await?;
    shop.inventory()
        .receive("MUG", &LocationId::new("berlin")?, 10)
        .await?;
    let customers = ["ann@example.com", "eve@example.com", "bob@example.com"];
    for email in customers {
        let cart = shop.carts().create(Owner::Guest).await?;
        shop.carts().add(cart.id, "MUG", 1).await?;
        let key = IdempotencyKey::new(email)?;
        shop.checkout()
            .place(Place::cart(cart.id).email(email).key(key))
            .await?;
        println!("placed      an order of {email}");
    }

    confirmations.until_sent(2).await?;
    println!("sent        {}", confirmations.sent().join(", "));
    let letters = loop {
        let letters = shop
            .changes()
            .dead_letters("confirmations", &PageRequest::default())
            .await?
            .items;
        if !letters.is_empty() {
            break letters;
        }
        tokio::task::yield_now().await;
    };
    for letter in &letters {
        println!(
            "dead letter {} version {} after {} tries: {}",
            letter.change.aggregate, letter.change.version, letter.attempts, letter.reason
        );
    }

    // Someone mends the address, and lets the letters go once more.
    confirmations
        .server
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .refused = None;
    let redriven = shop.changes().redrive_all("confirmations").await?;
    println!(
        "redriven    {} delivered, {} still refused",
        redriven.delivered, redriven.refused
    );
    for sink in shop.changes().status().await? {
        println!(
            "status      {}: {} changes delivered, {} failures, {} dead letters",
            sink.sink, sink.delivered, sink.failures, sink.dead_letters
        );
    }
    shop.close().await;

    let mut sent = confirmations.sent();
    sent.sort();
    let mut expected = customers.map(str::to_owned).to_vec();
    expected.sort();
    if sent != expected || letters.len() != 1 || redriven.delivered != 1 {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("one message to each customer was expected, these were sent: {sent:?}"),
        ));
    }
    println!("checked     one message to each customer");
    Ok(())
}
