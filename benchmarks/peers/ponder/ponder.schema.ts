import { onchainTable } from "ponder";

export const liquidation = onchainTable("liquidation", (t) => ({
  id: t.text().primaryKey(), timestamp: t.bigint().notNull(), repaid: t.bigint().notNull(),
}));
