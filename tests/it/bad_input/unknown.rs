//! What is not there, and what is not as it was.

use stockroom::CancelReason;
use stockroom::CartId;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::HoldId;
use stockroom::LineKey;
use stockroom::Options;
use stockroom::OrderId;
use stockroom::Pay;
use stockroom::PaymentFact;
use stockroom::PaymentId;
use stockroom::Place;
use stockroom::ProductId;
use stockroom::ProductPatch;
use stockroom::Provider;

use super::Furnished;
use super::refused;
use crate::support::Ground;
use crate::support::key;
use crate::support::on;
use crate::support::reference;
use crate::support::sku;
use crate::support::units;
use crate::support::usd;

on!([file postgres dynamodb]
    what_is_not_there_is_named
    what_is_not_as_it_was_is_named
    what_is_over_cannot_be_changed
);

async fn what_is_not_there_is_named(ground: Ground) {
    let furnished = Furnished::new(ground).await;
    let shop = &furnished.shop;
    let unsold = shop.cart(&[("NEVER", 1)]).await;
    let absent = ErrorKind::NotFound;
    furnished
        .unchanged(async || {
            let (product, cart, order, payment) =
                (ProductId::new(), CartId::new(), OrderId::new(), PaymentId::new());
            assert_eq!(shop.products().get(product).await.unwrap(), None);
            refused(shop.products().require(product).await, absent, product);
            refused(shop.carts().require(cart).await, absent, cart);
            refused(shop.carts().add(cart, "MUG", 1).await, absent, cart);
            refused(shop.carts().abandon(cart).await, absent, cart);
            let line = LineKey::of(&sku("OTHER"), &Options::new());
            refused(shop.carts().set_quantity(cart, &line, 1).await, absent, cart);
            refused(
                shop.carts().set_quantity(furnished.cart, &line, 1).await,
                absent,
                furnished.cart,
            );
            refused(
                shop.carts().remove(furnished.cart, &line).await,
                absent,
                furnished.cart,
            );
            refused(shop.checkout().quote(cart).await, absent, cart);
            refused(
                shop.checkout().place(Place::cart(cart).key(key("a"))).await,
                absent,
                cart,
            );
            refused(shop.checkout().quote(unsold).await, absent, "NEVER");
            refused(shop.orders().require(order).await, absent, order);
            refused(
                shop.checkout().cancel(order, CancelReason::Customer).await,
                absent,
                order,
            );
            refused(shop.payments().require(payment).await, absent, payment);
            let fact = PaymentFact::refunded(Provider::new("acme").unwrap(), reference("event"), usd(1));
            refused(
                shop.payments().record(payment, fact.clone()).await,
                absent,
                payment,
            );
            refused(shop.payments().record_for_order(order, fact).await, absent, order);
            let charge = |_: Due| async { Ok::<_, Error>(Charge::declined("never asked")) };
            refused(
                shop.checkout().pay(Pay::cart(cart).key(key("b")), charge).await,
                absent,
                cart,
            );
            assert_eq!(
                shop.checkout()
                    .resume(&key("never"), charge)
                    .await
                    .unwrap_err()
                    .kind(),
                absent
            );
            // Nothing to release is nothing to refuse.
            shop.inventory().release_hold(HoldId::new()).await.unwrap();
        })
        .await;
}

async fn what_is_not_as_it_was_is_named(ground: Ground) {
    let furnished = Furnished::new(ground).await;
    let shop = &furnished.shop;
    let old = shop.products().require(furnished.product).await.unwrap();
    let new = shop
        .products()
        .update(&old, ProductPatch::new().title("Cup"))
        .await
        .unwrap();
    let quote = shop.checkout().quote(furnished.cart).await.unwrap();
    shop.carts().add(furnished.cart, "MUG", 1).await.unwrap();
    let unsent = shop.orders().require(furnished.order).await.unwrap();
    let sent = shop.orders().ship(&unsent, &[(1, units(1))]).await.unwrap();
    let conflict = ErrorKind::Conflict;
    furnished
        .unchanged(async || {
            let error = shop
                .products()
                .update(&old, ProductPatch::new().title("Mug"))
                .await
                .unwrap_err();
            assert_eq!(error.found_version(), Some(new.version.get()));
            refused(Err::<(), _>(error), conflict, old.id);
            refused(shop.products().delete(&old).await, conflict, old.id);
            let place = Place::quote(quote.clone()).key(key("stale"));
            refused(shop.checkout().place(place).await, conflict, furnished.cart);
            refused(
                shop.orders().ship(&unsent, &[(1, units(1))]).await,
                conflict,
                furnished.order,
            );
            refused(shop.orders().complete(&unsent).await, conflict, furnished.order);
            let stale = shop.transaction(|tx| {
                let old = old.clone();
                async move {
                    tx.products().require(old.id).await?;
                    tx.products()
                        .update(&old, ProductPatch::new().title("Mug"))
                        .map(drop)
                }
            });
            refused(stale.await, conflict, old.id);
        })
        .await;
    assert_eq!(shop.orders().complete(&sent).await.unwrap().id, sent.id);
    shop.products().delete(&new).await.unwrap();
    furnished
        .unchanged(async || {
            refused(
                shop.products()
                    .update(&new, ProductPatch::new().title("Mug"))
                    .await,
                ErrorKind::NotFound,
                new.id,
            );
            refused(shop.products().delete(&new).await, ErrorKind::NotFound, new.id);
        })
        .await;
}

async fn what_is_over_cannot_be_changed(ground: Ground) {
    let furnished = Furnished::new(ground).await;
    let shop = &furnished.shop;
    let ordered = shop
        .orders()
        .require(furnished.order)
        .await
        .unwrap()
        .cart
        .unwrap();
    shop.carts().abandon(furnished.cart).await.unwrap();
    let line = LineKey::of(&sku("MUG"), &Options::new());
    let conflict = ErrorKind::Conflict;
    furnished
        .unchanged(async || {
            for cart in [ordered, furnished.cart] {
                refused(shop.carts().add(cart, "MUG", 1).await, conflict, cart);
                refused(shop.carts().set_quantity(cart, &line, 2).await, conflict, cart);
                refused(shop.carts().remove(cart, &line).await, conflict, cart);
                refused(shop.carts().abandon(cart).await, conflict, cart);
                refused(shop.checkout().quote(cart).await, conflict, cart);
                refused(
                    shop.checkout().place(Place::cart(cart).key(key("over"))).await,
                    conflict,
                    cart,
                );
            }
        })
        .await;
    let cancelled = shop
        .checkout()
        .cancel(furnished.order, CancelReason::Merchant)
        .await
        .unwrap();
    furnished
        .unchanged(async || {
            let again = shop
                .checkout()
                .cancel(furnished.order, CancelReason::Merchant)
                .await;
            refused(again, conflict, furnished.order);
            refused(
                shop.orders().ship(&cancelled, &[(1, units(1))]).await,
                conflict,
                furnished.order,
            );
            refused(
                shop.orders().complete(&cancelled).await,
                conflict,
                furnished.order,
            );
        })
        .await;
}
