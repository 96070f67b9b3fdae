// `npm run demo`: the main job end to end, for a person to see. A real nats-server, the built
// sidecar, 300 alerts written into its pipe the way Falco does it, and a subscriber that compares.

import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempDisposableSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect } from 'nats'
import { messageOf, printable } from '../src/shared/errors.ts'

const SIDECAR = fileURLToPath(new URL('../dist/falco-nats.js', import.meta.url))
const ALERTS = fileURLToPath(new URL('../test/fixtures/alerts.jsonl', import.meta.url))
const ALERTS_SHOWN = 12
const SUBJECTS_SHOWN = 10
const DEADLINE_MS = 60_000

/** Rejects when the demo must end early: every wait in it waits for this as well. */
const cut = Promise.withResolvers<never>()
cut.promise.catch(() => {})
let waitingFor = ''

process.exit(await main())

async function main(): Promise<0 | 1> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => cut.reject(new Error(`interrupted by ${signal}`)))
  process.stdout.on('error', cut.reject)
  const giveUp = () =>
    cut.reject(new Error(`gave up after ${DEADLINE_MS / 1000} s, while waiting for ${waitingFor}`))
  setTimeout(giveUp, DEADLINE_MS).unref()
  try {
    return (await demonstrate()) ? 0 : 1
  } catch (error) {
    process.stderr.write(`demo: ${messageOf(error)}\n`)
    return 1
  }
}

/** True when all alerts arrived as they were sent. What it starts and makes is gone afterwards. */
async function demonstrate(): Promise<boolean> {
  using directory = mkdtempDisposableSync(join(tmpdir(), 'falco-nats-demo-'))
  const pipe = join(directory.path, 'falco', 'nats')

  await using server = start('nats-server', ['-a', '127.0.0.1', '-p', '-1'], 'pipe')
  const listening = () => server.said().match(/client connections on (\S+)\n/)?.[1]
  const url = `nats://${await waitFor('nats-server', until(listening))}`
  const { arrived, flush } = await waitFor('the subscriber', subscribe(url))

  await using sidecar = start(
    process.execPath,
    [SIDECAR, '-f', pipe, '-s', url, '--metrics-address', 'off'],
    'inherit',
  )
  const pipeExists = () => existsSync(pipe)
  await waitFor('the pipe', until(pipeExists))

  const startedAt = performance.now()
  // As Falco does it: for every alert open, write a line, close. In another process, which can be
  // stopped even while it waits for a reader.
  const writer = '{ print >>pipe; close(pipe) }'
  await using falco = start('awk', ['-v', `pipe=${pipe}`, writer, ALERTS], 'inherit')
  await waitFor('the writer of the alerts', falco.ended)

  // The last alerts may still be in the pipe. The sidecar ends when they are delivered as well.
  sidecar.child.kill('SIGTERM')
  await waitFor('the sidecar to deliver the rest', sidecar.ended)
  await waitFor('the last alerts', flush())
  return report(readFileSync(ALERTS), arrived, performance.now() - startedAt)
}

interface Arrived {
  readonly subject: string
  readonly line: Buffer
}

async function subscribe(url: string): Promise<{ arrived: Arrived[]; flush(): Promise<void> }> {
  const arrived: Arrived[] = []
  const connection = await connect({ servers: url, reconnect: false })
  connection.subscribe('falco.>', {
    callback(_error, { subject, data }) {
      arrived.push({ subject, line: Buffer.from(data) })
      if (arrived.length <= ALERTS_SHOWN) show(arrived.at(-1)!)
    },
  })
  await connection.flush()
  return { arrived, flush: () => connection.flush() }
}

function show({ subject, line }: Arrived): void {
  const { time, priority, rule, output } = JSON.parse(line.toString())
  // Most outputs begin with the time and the priority, which are shown already.
  const text = output.replace(/^[\d:.TZ+-]+: [A-Z][a-z]+ /, '')
  say(subject)
  // An alert holds what an attacker typed: nothing of it may control the terminal.
  say(printable(`  ${time.slice(11, 19)} ${priority} ${rule} / ${text}`))
}

function report(sent: Buffer, arrived: readonly Arrived[], tookMs: number): boolean {
  const counts = new Map<string, number>()
  for (const { subject } of arrived) counts.set(subject, (counts.get(subject) ?? 0) + 1)
  const ranking = [...counts].sort(([, a], [, b]) => b - a)
  const newline = Buffer.from('\n')
  const equal = Buffer.concat(arrived.flatMap(({ line }) => [line, newline])).equals(sent)

  say(`… and ${Math.max(0, arrived.length - ALERTS_SHOWN)} more`)
  say('')
  for (const [subject, count] of ranking.slice(0, SUBJECTS_SHOWN))
    say(`${String(count).padStart(4)}  ${subject}`)
  say(`   …  and ${Math.max(0, ranking.length - SUBJECTS_SHOWN)} more subjects`)
  say('')
  say(`sent      ${sent.toString().split('\n').length - 1} alerts, ${sent.length} bytes`)
  say(`received  ${arrived.length} alerts on ${counts.size} subjects`)
  say(`equal     ${equal ? 'yes' : 'NO'}, byte for byte and in order`)
  say(`took      ${Math.round(tookMs)} ms, from the first write to the sidecar's orderly end`)
  return equal
}

/** One line, not longer than the terminal is wide. */
function say(text: string): void {
  const width = process.stdout.columns ?? 120
  process.stdout.write(`${text.length > width ? `${text.slice(0, width - 1)}…` : text}\n`)
}

interface Running extends AsyncDisposable {
  readonly child: ChildProcess
  /** Its standard error so far, where that is piped. */
  said(): string
  /** Rejects when it ends with anything but 0, and then the whole demo ends. */
  readonly ended: Promise<void>
}

function start(command: string, args: string[], stderr: 'pipe' | 'inherit'): Running {
  const stdio: StdioOptions = ['ignore', 'ignore', stderr]
  // A clean environment: the user's own NATS_* settings are not meant for this server.
  const child = spawn(command, args, { stdio, env: { PATH: process.env.PATH } })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  const ended = once(child, 'close').then(([code, signal]) => {
    if (code === 0) return
    const lastWords = said.trimEnd().split('\n').at(-1)
    throw new Error(`${[command, ...args].join(' ')}: ended with ${code ?? signal} ${lastWords}`)
  })
  ended.catch(cut.reject)
  return {
    child,
    said: () => said,
    ended,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended.catch(() => {})
    },
  }
}

async function waitFor<T>(what: string, promise: Promise<T>): Promise<T> {
  waitingFor = what
  return await Promise.race([promise, cut.promise])
}

async function until<T>(condition: () => T): Promise<NonNullable<T>> {
  for (;;) {
    const value = condition()
    if (value) return value
    await delay(10)
  }
}
