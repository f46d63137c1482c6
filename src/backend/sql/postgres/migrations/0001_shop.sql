-- Products, carts, orders, payments, stock. Times are microseconds since 1970 in UTC, money is minor units, documents are
-- JSON as text. Keys compare by their bytes, as they do in Rust and in SQLite.
CREATE TABLE stockroom_meta (
    name text PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO stockroom_meta (name, value) VALUES ('epoch', 0);

-- One row a database transaction: it tells, after a lost reply, whether the transaction committed and with what answer.
-- A void row takes the place of a commit that must never happen.
CREATE TABLE stockroom_commits (
    id uuid PRIMARY KEY,
    answer text,
    at bigint NOT NULL
);
CREATE INDEX stockroom_commits_at ON stockroom_commits (at);

CREATE TABLE stockroom_claims (
    space text COLLATE "C" NOT NULL,
    claim_key text COLLATE "C" NOT NULL,
    owner uuid NOT NULL,
    fingerprint text,
    created_at bigint NOT NULL,
    PRIMARY KEY (space, claim_key)
);

CREATE TABLE stockroom_changes (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    aggregate text COLLATE "C" NOT NULL,
    row_key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    action text COLLATE "C" NOT NULL,
    actor text NOT NULL,
    events text NOT NULL,
    at bigint NOT NULL,
    commit_id uuid NOT NULL,
    wset bigint NOT NULL
);
CREATE INDEX stockroom_changes_row ON stockroom_changes (aggregate, row_key, seq);

CREATE TABLE stockroom_products (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    slug text COLLATE "C" NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    category text COLLATE "C",
    attributes text NOT NULL,
    status text COLLATE "C" NOT NULL,
    from_minor bigint,
    from_currency text COLLATE "C",
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX stockroom_products_category ON stockroom_products (category, status, id);
CREATE INDEX stockroom_products_price ON stockroom_products (status, from_currency, from_minor, id);
CREATE INDEX stockroom_products_category_price ON stockroom_products (category, status, from_currency, from_minor, id);

CREATE TABLE stockroom_variants (
    product_id uuid NOT NULL,
    position bigint NOT NULL,
    sku text COLLATE "C" NOT NULL,
    title text,
    options text NOT NULL,
    prices text NOT NULL,
    tax bigint NOT NULL,
    PRIMARY KEY (product_id, position)
);
CREATE INDEX stockroom_variants_sku ON stockroom_variants (sku);

CREATE TABLE stockroom_carts (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    user_id uuid,
    currency text NOT NULL,
    status text COLLATE "C" NOT NULL,
    expires_at bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX stockroom_carts_expiry ON stockroom_carts (expires_at);

CREATE TABLE stockroom_cart_lines (
    cart_id uuid NOT NULL,
    line_key text COLLATE "C" NOT NULL,
    sku text COLLATE "C" NOT NULL,
    options text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    added_at bigint NOT NULL,
    PRIMARY KEY (cart_id, line_key)
);

CREATE TABLE stockroom_orders (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    customer_id uuid,
    cart_id uuid,
    status text COLLATE "C" NOT NULL,
    fulfilment text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    subtotal bigint NOT NULL,
    tax bigint NOT NULL,
    total bigint NOT NULL,
    authorized bigint NOT NULL,
    captured bigint NOT NULL,
    refunded bigint NOT NULL,
    ship_to text,
    bill_to text,
    email text,
    cancel_reason text,
    placed_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX stockroom_orders_customer ON stockroom_orders (customer_id, id);
CREATE INDEX stockroom_orders_status ON stockroom_orders (status, id);

CREATE TABLE stockroom_order_lines (
    order_id uuid NOT NULL,
    number bigint NOT NULL,
    sku text COLLATE "C" NOT NULL,
    product_id uuid NOT NULL,
    title text NOT NULL,
    options text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    unit_price bigint NOT NULL,
    tax_rate bigint NOT NULL,
    tax bigint NOT NULL,
    total bigint NOT NULL,
    location text COLLATE "C" NOT NULL,
    shipped bigint NOT NULL CHECK (shipped BETWEEN 0 AND quantity),
    PRIMARY KEY (order_id, number)
);

CREATE TABLE stockroom_payments (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    order_id uuid NOT NULL,
    provider text COLLATE "C" NOT NULL,
    provider_key text NOT NULL,
    reference text COLLATE "C",
    currency text NOT NULL,
    amount bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    authorized bigint NOT NULL,
    captured bigint NOT NULL,
    refunded bigint NOT NULL,
    lease_holder uuid NOT NULL,
    lease_until bigint NOT NULL,
    hold_id uuid,
    decline_reason text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX stockroom_payments_order ON stockroom_payments (order_id, id);

-- Held counts every hold that was not swept yet; readers and guards take the expired ones off.
CREATE TABLE stockroom_levels (
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    on_hand bigint NOT NULL DEFAULT 0 CHECK (on_hand >= 0),
    allocated bigint NOT NULL DEFAULT 0 CHECK (allocated >= 0),
    held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    backorder_limit bigint NOT NULL DEFAULT 0 CHECK (backorder_limit >= 0),
    updated_at bigint NOT NULL,
    PRIMARY KEY (sku, location)
);

CREATE TABLE stockroom_holds (
    hold_id uuid NOT NULL,
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    expires_at bigint NOT NULL,
    PRIMARY KEY (hold_id, sku, location)
);
CREATE INDEX stockroom_holds_level ON stockroom_holds (sku, location, expires_at);

CREATE TABLE stockroom_movements (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    on_hand bigint NOT NULL,
    allocated bigint NOT NULL,
    held bigint NOT NULL,
    reference uuid,
    note text,
    at bigint NOT NULL,
    commit_id uuid NOT NULL
);
CREATE INDEX stockroom_movements_level ON stockroom_movements (sku, location, seq);
