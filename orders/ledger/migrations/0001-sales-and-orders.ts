/**
 * Sales with their fares, orders, and orders put aside.
 *
 * Whoever changes orders of a sale locks the sale's row first. So positions become visible in the order in which they
 * are given, and processes cannot lock each other out.
 */
import type { Migration } from '../migrate.ts'

export const salesAndOrders: Migration = {
  number: 1,
  name: 'sales and orders',
  statements: [
    `create function ledger_now_ms() returns bigint language sql volatile as
      $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint $$`,

    `create table sales (
      id text collate "C" primary key,
      -- JSON with the secret that keys the order ids
      definition text not null,
      limit_per_buyer bigint not null check (limit_per_buyer >= 1),
      state text not null check (state in ('draft', 'scheduled', 'open', 'paused', 'closed')),
      era bigint not null check (era >= 1),
      taken_era bigint not null default 0,
      taken_seq bigint not null default 0,
      watermark_era bigint not null default 0,
      watermark_seq bigint not null default 0,
      watermark_durable boolean not null default false,
      watermark_fingerprint text not null default '',
      last_position bigint not null default 0
    )`,

    `create table fares (
      sale_id text collate "C" not null references sales,
      id text collate "C" not null,
      place integer not null,
      price_amount bigint not null check (price_amount >= 0),
      price_currency text not null,
      stock bigint not null check (stock >= 0),
      held bigint not null default 0 check (held >= 0),
      paid bigint not null default 0 check (paid >= 0),
      primary key (sale_id, id),
      constraint fares_never_oversold check (held + paid <= stock)
    )`,

    `create table orders (
      id text collate "C" primary key,
      sale_id text collate "C" not null,
      fare_id text collate "C" not null,
      buyer text collate "C" not null,
      quantity bigint not null constraint orders_quantity check (quantity >= 1),
      state text not null,
      reason text,
      created_ms bigint not null,
      hold_expires_ms bigint not null,
      paid_ms bigint,
      released_ms bigint,
      is_settled boolean not null,
      position bigint not null,
      foreign key (sale_id, fare_id) references fares,
      constraint orders_state check (
        (state = 'held' and reason is null and paid_ms is null and released_ms is null)
        or (state = 'paid' and reason is null and paid_ms is not null and released_ms is null)
        or (state = 'released' and reason in ('expired', 'cancelled', 'refunded', 'conflict') and released_ms is not null)
      )
    )`,
    `create unique index orders_of_sale on orders (sale_id, position)`,
    `create index orders_by_id on orders (sale_id, id)`,
    `create index orders_of_buyer on orders (buyer, created_ms desc, id desc)`,
    `create index orders_held on orders (sale_id, hold_expires_ms, id) where state = 'held'`,
    `create index orders_unsettled on orders (sale_id, position) where not is_settled`,

    `create table dead_letters (
      order_id text collate "C" primary key,
      sale_id text collate "C" not null references sales,
      -- JSON of the order as the store has it
      record text not null,
      tries integer not null check (tries between 1 and 5),
      error text not null,
      is_dead boolean not null,
      released_ms bigint,
      is_settled boolean not null default true
    )`,

    // The counters follow from the rows, whoever writes them; their constraint is the last guard.
    `create function count_orders() returns trigger language plpgsql as $$
      begin
        if tg_op = 'INSERT' then
          if exists (select from after_rows o join sales s on s.id = o.sale_id where o.quantity > s.limit_per_buyer) then
            raise exception 'an order has more tickets than one buyer may have'
              using errcode = 'check_violation', constraint = 'orders_quantity';
          end if;
          update fares f set held = f.held + d.held, paid = f.paid + d.paid
          from (
            select sale_id, fare_id, coalesce(sum(quantity) filter (where state = 'held'), 0) as held,
              coalesce(sum(quantity) filter (where state = 'paid'), 0) as paid
            from after_rows where state <> 'released' group by sale_id, fare_id
          ) d
          where f.sale_id = d.sale_id and f.id = d.fare_id;
        else
          update fares f set held = f.held + d.held, paid = f.paid + d.paid
          from (
            select sale_id, fare_id, coalesce(sum(quantity) filter (where state = 'held'), 0) as held,
              coalesce(sum(quantity) filter (where state = 'paid'), 0) as paid
            from (
              select sale_id, fare_id, state, quantity from after_rows
              union all select sale_id, fare_id, state, -quantity from before_rows
            ) moved
            group by sale_id, fare_id
          ) d
          where f.sale_id = d.sale_id and f.id = d.fare_id and (d.held <> 0 or d.paid <> 0);
        end if;
        return null;
      end
    $$`,
    `create trigger orders_counted_in after insert on orders
      referencing new table as after_rows for each statement execute function count_orders()`,
    `create trigger orders_counted_on after update on orders
      referencing old table as before_rows new table as after_rows for each statement execute function count_orders()`,

    `create function keep_orders_lawful() returns trigger language plpgsql as $$
      begin
        if (new.id, new.sale_id, new.fare_id, new.buyer, new.quantity, new.created_ms, new.hold_expires_ms)
          is distinct from (old.id, old.sale_id, old.fare_id, old.buyer, old.quantity, old.created_ms, old.hold_expires_ms)
        then
          raise exception 'order %: only its state may change', old.id
            using errcode = 'check_violation', constraint = 'orders_identity';
        end if;
        if (new.state, new.reason) is distinct from (old.state, old.reason)
          and not (old.state = 'held' and new.state <> 'held')
          and not (old.state = 'paid' and new.state = 'released' and new.reason = 'refunded')
        then
          raise exception 'order %: % never becomes %', old.id, old.state, new.state
            using errcode = 'check_violation', constraint = 'orders_forward';
        end if;
        return new;
      end
    $$`,
    `create trigger orders_lawful
      before update of id, sale_id, fare_id, buyer, quantity, created_ms, hold_expires_ms, state, reason on orders
      for each row execute function keep_orders_lawful()`,

    `create function keep_orders() returns trigger language plpgsql as $$
      begin
        raise exception 'orders are never deleted' using errcode = 'restrict_violation', constraint = 'orders_kept';
      end
    $$`,
    `create trigger orders_kept before delete or truncate on orders for each statement execute function keep_orders()`,
  ],
}
