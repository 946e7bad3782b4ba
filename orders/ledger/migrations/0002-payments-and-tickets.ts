/**
 * Money and tickets.
 *
 * A charge is one taking of money, and the unit of the books: each is kept for exactly one paid order, or on its way
 * back, or back. Whoever changes charges or refunds of a payment locks the payment's row first, then the sale's.
 */
import type { Migration } from '../migrate.ts'

export const paymentsAndTickets: Migration = {
  number: 2,
  name: 'payments and tickets',
  statements: [
    `create table payments (
      order_id text collate "C" primary key references orders,
      provider text collate "C" not null,
      reference text collate "C" not null,
      redirect_url text not null,
      amount bigint not null check (amount >= 0),
      currency text not null,
      created_ms bigint not null,
      unique (provider, reference)
    )`,

    `create table charges (
      provider text collate "C" not null,
      id text collate "C" not null,
      order_id text collate "C" not null references payments,
      amount bigint not null check (amount >= 0),
      currency text not null,
      state text not null check (state in ('kept', 'retaking', 'refunding', 'refunded')),
      -- the order that it pays; after a retake another than the one it was meant for
      kept_for text collate "C" references orders,
      -- false while only its refund has been heard of
      is_taken boolean not null,
      -- of a retake
      tries integer not null default 0,
      next_try_ms bigint not null default 0,
      changed_ms bigint not null,
      primary key (provider, id),
      constraint charges_kept check ((state = 'kept') = (kept_for is not null))
    )`,
    `create unique index charges_one_per_order on charges (kept_for) where kept_for is not null`,
    `create index charges_of_order on charges (order_id)`,
    `create index charges_retaking on charges (next_try_ms) where state = 'retaking'`,

    `create table payment_events (
      provider text collate "C" not null,
      id text collate "C" not null,
      order_id text collate "C" not null references payments,
      kind text not null check (kind in ('paid', 'failed', 'refunded')),
      charge_id text collate "C" not null,
      amount bigint not null,
      currency text not null,
      occurred_ms bigint not null,
      received_ms bigint not null,
      effect text not null,
      primary key (provider, id)
    )`,
    `create index payment_events_of_order on payment_events (order_id, received_ms)`,

    `create table refunds (
      id text collate "C" primary key,
      provider text collate "C" not null,
      charge_id text collate "C" not null,
      order_id text collate "C" not null references payments,
      amount bigint not null check (amount >= 0),
      currency text not null,
      reason text not null,
      -- accepted: the provider has taken it on, its event is to come
      state text not null check (state in ('due', 'accepted', 'done')),
      tries integer not null default 0,
      next_try_ms bigint not null,
      last_error text,
      created_ms bigint not null,
      done_ms bigint,
      foreign key (provider, charge_id) references charges,
      constraint refunds_once unique (provider, charge_id)
    )`,
    `create index refunds_open on refunds (next_try_ms) where state <> 'done'`,

    `create table payment_anomalies (
      -- what makes two reports the same
      id text collate "C" primary key,
      kind text not null,
      provider text not null,
      reference text,
      detail text not null,
      times bigint not null default 1,
      first_ms bigint not null,
      last_ms bigint not null
    )`,
    `create index payment_anomalies_newest on payment_anomalies (last_ms desc, id)`,

    `create table ticket_keys (
      kid text collate "C" primary key,
      place bigint generated always as identity,
      -- 32 bytes, base64url
      public_x text not null,
      private_pem text not null,
      created_ms bigint not null
    )`,
    // The key with which an order's tickets were first signed, so that they are the same for ever.
    `create table ticket_issues (
      order_id text collate "C" primary key references orders,
      kid text collate "C" not null references ticket_keys,
      issued_ms bigint not null
    )`,

    // The books of the sandbox, as a provider would have them in its own house.
    `create table sandbox_payments (
      reference text collate "C" primary key,
      request text not null,
      state text not null check (state in ('open', 'paid', 'declined')),
      charges integer not null default 0,
      attempts integer not null default 0,
      created_ms bigint not null
    )`,
    `create table sandbox_charges (
      id text collate "C" primary key,
      reference text collate "C" not null references sandbox_payments,
      amount bigint not null,
      currency text not null,
      refund_id text collate "C" unique
    )`,
    `create table sandbox_deliveries (
      id bigint generated always as identity primary key,
      reference text collate "C" not null,
      body text not null,
      -- forged: signed with a secret that is not ours
      is_forged boolean not null default false,
      state text not null default 'due' check (state in ('due', 'done', 'refused', 'dead')),
      tries integer not null default 0,
      next_try_ms bigint not null,
      last_answer text
    )`,
    `create index sandbox_deliveries_due on sandbox_deliveries (next_try_ms, id) where state = 'due'`,
  ],
}
