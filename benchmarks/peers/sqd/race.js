// The peer: Subsquid's (SQD) EVM processor over JSON-RPC alone (its archives are not asked). The last block is kept in a file.
// Usage: node race.js URL FIRST_BLOCK LAST_BLOCK FOLDER ADDRESS TOPIC RATE (0: none told)
const fs = require('fs')
const path = require('path')
const { EvmBatchProcessor } = require('@subsquid/evm-processor')

const [url, first, last, folder, address, topic, rate] = process.argv.slice(2)
const state = path.join(folder, 'state.json')
const endpoint = Number(rate) ? { url, rateLimit: Number(rate) } : { url }
const processor = new EvmBatchProcessor()
  .setRpcEndpoint({ ...endpoint, maxBatchCallSize: 100, capacity: 16 })
  .setFinalityConfirmation(64)
  .setBlockRange({ from: Number(first), to: Number(last) })
  .addLog({ address: [address.toLowerCase()], topic0: [topic] })

let count = 0
const database = {
  supportsHotBlocks: false,
  async connect() {
    return fs.existsSync(state) ? JSON.parse(fs.readFileSync(state)) : { height: -1, hash: '0x' }
  },
  async transact(info, handle) {
    await handle({})
    fs.writeFileSync(state, JSON.stringify({ height: info.nextHead.height, hash: info.nextHead.hash }))
  },
}
processor.run(database, async ctx => {
  for (const block of ctx.blocks) count += block.logs.length
})
