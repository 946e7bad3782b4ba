/** What an operator changed and the store is still to be told, and left-overs on their way to another fare. */
import type { Migration } from '../migrate.ts'

export const operatorsActs: Migration = {
  number: 3,
  name: 'operators acts',
  statements: [
    `create table untold (
      sale_id text collate "C" not null references sales,
      -- 'state', or 'stock:' and a fare's id
      subject text not null,
      primary key (sale_id, subject)
    )`,
    `create table transfers (
      from_sale text collate "C" not null,
      from_fare text collate "C" not null,
      to_sale text collate "C" not null,
      to_fare text collate "C" not null,
      tickets bigint not null check (tickets >= 1),
      -- what the first fare's stock is lowered to
      from_stock bigint not null check (from_stock >= 0),
      primary key (from_sale, from_fare),
      foreign key (from_sale, from_fare) references fares,
      foreign key (to_sale, to_fare) references fares,
      check ((from_sale, from_fare) <> (to_sale, to_fare))
    )`,
  ],
}
