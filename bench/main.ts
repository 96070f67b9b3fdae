// `npm run bench -- [SCENARIO …] [--quick] [--long] [--runs N] [--peers FILE]`: all scenarios, or those
// that are named, `steady` for all that begin so. Prints tables; fails only when alerts were lost or changed.

import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'
import { burst } from './scenarios/burst.ts'
import { distinct } from './scenarios/distinct.ts'
import { growthByAlerts, growthByRules } from './scenarios/growth.ts'
import { idle } from './scenarios/idle.ts'
import { jetstream } from './scenarios/jetstream.ts'
import { events, scrape } from './scenarios/metrics.ts'
import { bytes, large, reopen } from './scenarios/shapes.ts'
import { spool } from './scenarios/spool.ts'
import { stages } from './scenarios/stages.ts'
import { startup } from './scenarios/startup.ts'
import { steady } from './scenarios/steady.ts'
import { BUNDLE, readPeers } from './support/contender.ts'
import { WRITTEN_IN } from './support/native.ts'
import { children } from './support/process.ts'
import { createSuite, type Suite } from './support/suite.ts'

const SCENARIOS: Record<string, (suite: Suite) => Promise<void>> = {
  burst,
  'steady-10': (suite) => steady(suite, 10),
  'steady-1000': (suite) => steady(suite, 1_000),
  'steady-20000': (suite) => steady(suite, 20_000),
  idle,
  startup,
  bytes,
  reopen,
  'reopen-100': (suite) => steady(suite, 100, 'reopen'),
  'reopen-1000': (suite) => steady(suite, 1_000, 'reopen'),
  'reopen-8000': (suite) => steady(suite, 8_000, 'reopen'),
  large,
  'jetstream-1': (suite) => jetstream(suite, 1),
  'jetstream-3': (suite) => jetstream(suite, 3),
  spool,
  scrape,
  events,
  'growth-alerts': growthByAlerts,
  'growth-rules': growthByRules,
  distinct,
  stages,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
    runs: { type: 'string' },
    peers: { type: 'string', default: new URL('./peers.json', import.meta.url).pathname },
  },
})
const names = Object.keys(SCENARIOS)
const isCalled = (name: string, called: string) => name === called || name.startsWith(`${called}-`)
const unknown = positionals.find((called) => !names.some((name) => isCalled(name, called)))
if (unknown) {
  console.error(`no scenario ${unknown}; there are ${names.join(', ')}`)
  process.exit(2)
}

const runs = Number(values.runs ?? (values.quick ? 1 : 3))
const peers = readPeers(values.peers)
const version = execFileSync('nats-server', ['--version'], { encoding: 'utf8' }).trim()
console.log(`${cpus()[0]?.model}, ${cpus().length} cores, Linux ${release()}`)
console.log(
  `Node ${process.version}, ${version}, bundle ${Math.round(statSync(BUNDLE.replace('falco-nats.js', 'main.js')).size / 1024)} KiB`,
)
console.log(`writer and subscriber in ${WRITTEN_IN}`)
console.log(`medians of ${runs} alternating run${runs === 1 ? '' : 's'}`)
for (const { name, command } of peers) console.log(`peer ${name}: ${command}`)

// Servers and contenders would live on.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    for (const pid of children()) process.kill(pid, 'SIGKILL')
    process.exit(1)
  })

const suite = createSuite({ quick: values.quick, long: values.long, runs, peers })
for (const name of names)
  if (positionals.length === 0 || positionals.some((called) => isCalled(name, called)))
    await SCENARIOS[name]!(suite)
if (suite.failures() > 0) {
  console.error(`\n${suite.failures()} trials failed`)
  process.exitCode = 1
}
