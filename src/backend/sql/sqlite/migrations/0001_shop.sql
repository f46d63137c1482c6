-- Products, carts, orders, payments, stock. Times are microseconds since 1970 in UTC, money is minor units, ids are
-- UUIDs as text, documents are JSON as text.
CREATE TABLE stockroom_meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO stockroom_meta (name, value) VALUES ('epoch', 0);

-- One row a database transaction: it tells, after a lost reply, whether the transaction committed and with what answer.
-- A void row takes the place of a commit that must never happen.
CREATE TABLE stockroom_commits (
    id TEXT PRIMARY KEY,
    answer TEXT,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX stockroom_commits_at ON stockroom_commits (at);

CREATE TABLE stockroom_claims (
    space TEXT NOT NULL,
    claim_key TEXT NOT NULL,
    owner TEXT NOT NULL,
    fingerprint TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (space, claim_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE stockroom_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    aggregate TEXT NOT NULL,
    row_key TEXT NOT NULL,
    version INTEGER NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    events TEXT NOT NULL,
    at INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    wset INTEGER NOT NULL
) STRICT;
CREATE INDEX stockroom_changes_row ON stockroom_changes (aggregate, row_key, seq);

CREATE TABLE stockroom_products (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    slug TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    category TEXT,
    attributes TEXT NOT NULL,
    status TEXT NOT NULL,
    from_minor INTEGER,
    from_currency TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX stockroom_products_category ON stockroom_products (category, status, id);
CREATE INDEX stockroom_products_price ON stockroom_products (status, from_currency, from_minor, id);
CREATE INDEX stockroom_products_category_price ON stockroom_products (category, status, from_currency, from_minor, id);

CREATE TABLE stockroom_variants (
    product_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    sku TEXT NOT NULL,
    title TEXT,
    options TEXT NOT NULL,
    prices TEXT NOT NULL,
    tax INTEGER NOT NULL,
    PRIMARY KEY (product_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX stockroom_variants_sku ON stockroom_variants (sku);

CREATE TABLE stockroom_carts (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    user_id TEXT,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX stockroom_carts_expiry ON stockroom_carts (expires_at);

CREATE TABLE stockroom_cart_lines (
    cart_id TEXT NOT NULL,
    line_key TEXT NOT NULL,
    sku TEXT NOT NULL,
    options TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    added_at INTEGER NOT NULL,
    PRIMARY KEY (cart_id, line_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE stockroom_orders (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    customer_id TEXT,
    cart_id TEXT,
    status TEXT NOT NULL,
    fulfilment TEXT NOT NULL,
    currency TEXT NOT NULL,
    subtotal INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    total INTEGER NOT NULL,
    authorized INTEGER NOT NULL,
    captured INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    ship_to TEXT,
    bill_to TEXT,
    email TEXT,
    cancel_reason TEXT,
    placed_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX stockroom_orders_customer ON stockroom_orders (customer_id, id);
CREATE INDEX stockroom_orders_status ON stockroom_orders (status, id);

CREATE TABLE stockroom_order_lines (
    order_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    sku TEXT NOT NULL,
    product_id TEXT NOT NULL,
    title TEXT NOT NULL,
    options TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    unit_price INTEGER NOT NULL,
    tax_rate INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    total INTEGER NOT NULL,
    location TEXT NOT NULL,
    shipped INTEGER NOT NULL CHECK (shipped BETWEEN 0 AND quantity),
    PRIMARY KEY (order_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE stockroom_payments (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    provider_key TEXT NOT NULL,
    reference TEXT,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL,
    state TEXT NOT NULL,
    authorized INTEGER NOT NULL,
    captured INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    lease_holder TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    hold_id TEXT,
    decline_reason TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX stockroom_payments_order ON stockroom_payments (order_id, id);

-- Held counts every hold that was not swept yet; readers and guards take the expired ones off.
CREATE TABLE stockroom_levels (
    sku TEXT NOT NULL,
    location TEXT NOT NULL,
    version INTEGER NOT NULL,
    on_hand INTEGER NOT NULL DEFAULT 0 CHECK (on_hand >= 0),
    allocated INTEGER NOT NULL DEFAULT 0 CHECK (allocated >= 0),
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    backorder_limit INTEGER NOT NULL DEFAULT 0 CHECK (backorder_limit >= 0),
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (sku, location)
) STRICT, WITHOUT ROWID;

CREATE TABLE stockroom_holds (
    hold_id TEXT NOT NULL,
    sku TEXT NOT NULL,
    location TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (hold_id, sku, location)
) STRICT, WITHOUT ROWID;
CREATE INDEX stockroom_holds_level ON stockroom_holds (sku, location, expires_at);

CREATE TABLE stockroom_movements (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sku TEXT NOT NULL,
    location TEXT NOT NULL,
    kind TEXT NOT NULL,
    on_hand INTEGER NOT NULL,
    allocated INTEGER NOT NULL,
    held INTEGER NOT NULL,
    reference TEXT,
    note TEXT,
    at INTEGER NOT NULL,
    commit_id TEXT NOT NULL
) STRICT;
CREATE INDEX stockroom_movements_level ON stockroom_movements (sku, location, seq);
