import { createConfig } from "ponder";

const abi = [{
  type: "event", name: "LiquidationCall", anonymous: false,
  inputs: [
    { indexed: true, name: "collateralAsset", type: "address" },
    { indexed: true, name: "debtAsset", type: "address" },
    { indexed: true, name: "user", type: "address" },
    { indexed: false, name: "debtToCover", type: "uint256" },
    { indexed: false, name: "liquidatedCollateralAmount", type: "uint256" },
    { indexed: false, name: "liquidator", type: "address" },
    { indexed: false, name: "receiveAToken", type: "bool" },
  ],
}] as const;

export default createConfig({
  database: { kind: "pglite", directory: process.env.RACE_FOLDER! + "/pglite" },
  chains: { race: { id: 1, rpc: process.env.RACE_URL!, ethGetLogsBlockRange: 2000, pollingInterval: 60_000 } },
  contracts: {
    Pool: {
      chain: "race", abi, address: process.env.RACE_ADDRESS as `0x${string}`,
      startBlock: Number(process.env.RACE_FIRST), endBlock: Number(process.env.RACE_LAST),
    },
  },
});
