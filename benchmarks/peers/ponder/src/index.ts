import { ponder } from "ponder:registry";
import { liquidation } from "ponder:schema";

ponder.on("Pool:LiquidationCall", async ({ event, context }) => {
  await context.db.insert(liquidation)
    .values({ id: event.id, timestamp: event.block.timestamp, repaid: event.args.debtToCover })
    .onConflictDoNothing();
});
