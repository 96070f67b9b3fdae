// One scenario: the real Falco, our bundle and a nats-server, what happens to them, and the sums at the end.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, linkSync, mkdirSync, renameSync } from 'node:fs'
import { expect } from 'vitest'
import { falcoNats, type LogLine, type Running, stopped } from '../support/cli.ts'
import {
  type Falco,
  type FalcoLoad,
  LOAD_RULE,
  prepareFalco,
  type Settings,
} from '../support/falco.ts'
import {
  readStream,
  type Subscriber,
  startNats,
  startSubscribed,
  subscribe,
} from '../support/nats.ts'
import { SCRAPED, scrape, total } from '../support/scrape.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { type Comparison, compare } from './compare.ts'

const BUNDLE = [process.execPath, new URL('../../dist/falco-nats.js', import.meta.url).pathname]
const NOBODY = 65_534
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...BUNDLE]

/** Why falco-nats cannot be run by another user here: its files may be below a home directory. */
export function whyNotAsNobody(): string | undefined {
  const [command, ...args] = [...AS_NOBODY, '--version'] as const
  const { status, error, stderr } = spawnSync(command!, args, { encoding: 'utf8' })
  return status === 0 ? undefined : (error?.message ?? stderr.trim())
}

/** Why an alert that Falco raised is neither delivered nor in the sums of falco-nats. */
export type Loss =
  /** Falco threw away what waited in its queue: the alerts that it counted and never wrote. */
  | 'queue'
  /** Falco wrote where no process reads any more, and logged nothing. */
  | 'closed'
  /** It was in the memory of the falco-nats that was killed, or in the pipe that ended with it. */
  | 'killed'
  /** Falco itself ended, by SIGPIPE. */
  | 'ended'

export interface Scenario {
  readonly name: string
  /** Laid over falco.yaml. */
  readonly falco?: Settings
  /** What falco-nats reads, if not the pipe. */
  readonly input?: 'stdin'
  readonly user?: 'nobody'
  readonly spool?: true
  readonly jetstream?: true
  readonly options?: readonly string[]
  /** Falco runs, and has written alerts, before falco-nats is started for the first time. */
  readonly falcoFirst?: true
  readonly happens: readonly Step[]
  /** What the sums of falco-nats count as lost. */
  readonly counted?: 'left' | 'dropped'
  readonly loss?: Loss
  /** Rules whose alerts must be among those that arrive. */
  readonly rules?: readonly string[]
}

export type Step = {
  [Name in keyof Steps]: readonly [name: Name, ...Parameters<Steps[Name]>]
}[keyof Steps]

export interface Row {
  readonly name: string
  /** Files that were opened to raise an alert each. */
  readonly opened: number
  /** Alerts that Falco raised, of all rules. */
  readonly raised: number
  /** Whether that is all, by its own counts: those of one that was killed, or has no webserver, are not known. */
  readonly isCounted: boolean
  /** Those of them that it threw away before it wrote them. */
  readonly thrownAway: number
  readonly delivered: number
  readonly twice: number
  /** The sums of falco-nats, added up over its runs. */
  readonly counted: Readonly<Record<string, number>>
  /** Raised, neither delivered nor counted, nor thrown away. */
  readonly missing: number
  readonly loss: Loss | undefined
}

type Steps = Awaited<ReturnType<typeof setUp>>['steps']

/** Runs one scenario and checks that each alert is where it should be. */
export async function play(scenario: Scenario, shared?: Falco): Promise<Row> {
  await using stack = new AsyncDisposableStack()
  const stage = await setUp(scenario, shared, stack)
  for (const [name, ...args] of scenario.happens) {
    const step = stage.steps[name] as (...args: readonly unknown[]) => unknown
    await step(...args)
  }
  return await stage.finish()
}

async function setUp(scenario: Scenario, shared: Falco | undefined, stack: AsyncDisposableStack) {
  const { options = [], jetstream, spool, falcoFirst } = scenario
  const isStdin = scenario.input === 'stdin'
  const dir = stack.use(tempDir())
  chmodSync(dir.path, 0o711)
  const config = jetstream ? `jetstream { store_dir: "${dir.file('jetstream')}" }` : ''
  const server = stack.use(await startNats(config))
  const subscribers: Subscriber[] = [stack.use(await subscribe(server.url))]
  const stdin = dir.file('stdin')
  if (isStdin) expect(spawnSync('mkfifo', [stdin]).status).toBe(0)
  const falco =
    shared ?? stack.use(await prepareFalco(scenario.falco, isStdin ? { stdout: stdin } : {}))
  chmodSync(falco.dir.path, 0o711)
  const owned = [falco.dir.file('pipe'), dir.file('spool')]
  mkdirSync(dir.file('spool'))
  if (scenario.user) for (const path of owned) chownSync(path, NOBODY, NOBODY)
  const arguments_ = [
    ...['-f', isStdin ? '-' : falco.pipe, '-s', server.url],
    ...(spool ? ['--spool-dir', dir.file('spool')] : []),
    ...(jetstream ? ['--jetstream', '--create-stream', '--stream', 'ALERTS'] : []),
    ...SCRAPED,
    ...options,
  ]
  const program = scenario.user ? AS_NOBODY : BUNDLE
  /** The last line of each run that had one. */
  const goodbyes: LogLine[] = []
  const loads: FalcoLoad[] = []
  let ours: Running | undefined
  let isAway = false
  /** How it was when Falco was last told to reload. */
  let openings = 0
  let logStart = 0
  let raisedBefore = 0
  let isFalcoKilled = false
  /** How often falco-nats was ended: no more gaps may be in what arrived. */
  let ends = 0

  function run(): Running {
    ours = stack.use(
      isStdin
        ? falcoNats(['-c', `exec "$@" < ${stdin}`, 'sh', ...program, ...arguments_], {
            program: ['/bin/sh'],
          })
        : falcoNats(arguments_, { program }),
    )
    return ours
  }

  const loaded = () =>
    falco.printed().filter((line) => line.includes(`"rule":"${LOAD_RULE}"`)).length
  const arrived = () => subscribers.reduce((sum, { messages }) => sum + messages.length, 0)

  async function hasArrived(line: Buffer): Promise<void> {
    await until('the last alert has arrived', () =>
      subscribers.at(-1)!.messages.some(({ data }) => data.equals(line)),
    )
  }

  const steps = {
    /** Opens files at a rate, beside what happens next. */
    load: (rate: number, seconds: number) => void loads.push(falco.load(rate, seconds)),
    /** Resolves when all files are opened. */
    async loaded() {
      await Promise.all(loads.map((load) => load.done()))
    },
    /** Lets a stock rule fire, and rules with names that are hard to make a subject of. */
    async oddities() {
      falco.open('odd', 'quo"te')
      falco.open('zh', '文件 ☃')
      falco.open('load', 'x'.repeat(200))
      await once(spawn('cat', ['/etc/shadow'], { stdio: 'ignore' }), 'exit')
    },
    /** Resolves when an alert of this rule is printed. */
    async printed(rule: string) {
      await until(`Falco prints "${rule}"`, () =>
        falco.printed().some((line) => line.includes(`"rule":"${rule}"`)),
      )
    },
    /** Resolves when Falco has written so many more alerts of the load. */
    async written(alerts: number) {
      const before = loaded()
      await until(`Falco has written ${alerts}`, () => loaded() - before >= alerts)
    },
    /** falco_events is what Falco itself counts. */
    async eventsCounted() {
      await steps.loaded()
      await hasArrived(await falco.probe())
      let events = 0
      for (const [series, count] of await scrape(ours!))
        if (series.startsWith('falco_events{') && series.includes(`rule="${LOAD_RULE}"`))
          events += count
      expect(events).toBe((await raised()) - raisedBefore)
    },
    /** Resolves when so many more have arrived. */
    async arrived(alerts: number) {
      const before = arrived()
      await until(`${alerts} have arrived`, () => arrived() - before >= alerts)
    },
    async start() {
      const running = run()
      await running.logged(isAway ? 'reading' : 'connected')
    },
    /** SIGTERM, and the last line of its log. */
    async stop() {
      const { code, last } = await stopped(ours!)
      expect(code).toBe(last.msg.includes('lost') ? 1 : 0)
      goodbyes.push(last)
      ours = undefined
      ends++
    },
    async kill() {
      ends++
      ours!.child.kill('SIGKILL')
      await ours!.exited()
      ours = undefined
    },
    async nats(what: 'stop' | 'kill' | 'start' | 'freeze' | 'thaw') {
      if (what === 'freeze') server.freeze()
      else if (what === 'thaw') server.thaw()
      else if (what !== 'start') {
        await server.stop(what === 'kill' ? 'SIGKILL' : 'SIGTERM')
        // It would come back and be told what its successor is told.
        await subscribers.at(-1)![Symbol.asyncDispose]()
      } else if (ours) subscribers.push(stack.use(await startSubscribed(server, ours.child)))
      else {
        await server.start()
        subscribers.push(stack.use(await subscribe(server.url)))
      }
      if (['stop', 'kill', 'start'].includes(what)) isAway = what !== 'start'
    },
    /** Resolves when Falco has been in a call that waits for a reader for a while. */
    blocked: (where: 'write' | 'open') => falco.blocked(where),
    reload(by: 'signal' | 'change') {
      openings = falco.openings()
      logStart = falco.log().length
      falco.reload(by)
    },
    /** Resolves when it looks at system calls again. */
    async reloaded() {
      await until('Falco has reloaded', () => falco.openings() > openings)
    },
    /** The same, and that it writes what it sees. */
    seen: () => falco.ready(),
    /** Resolves when its log says so since it was last told to reload. */
    async logged(text: string) {
      await until(`Falco logs "${text}"`, () => falco.log().slice(logStart).includes(text))
    },
    signal(signal: NodeJS.Signals) {
      isFalcoKilled ||= signal === 'SIGKILL'
      falco.kill(signal)
    },
    async falcoEnds(code: number) {
      expect(await falco.exited()).toBe(code)
    },
    async falcoAgain() {
      falco.start()
      await falco.ready()
    },
    /** falco-nats finds a file where the pipe should be. */
    async refused() {
      const running = run()
      expect(await running.exited()).not.toBe(0)
      expect(running.stderr()).toContain('is a regular file')
      ours = undefined
    },
    /** All alerts of the file are confirmed. */
    async adopted() {
      await ours!.logged('all alerts of the file are confirmed')
    },
    /** From now on the pipe cannot be set aside. */
    obstruct: () => void mkdirSync(`${falco.pipe}.next`),
    /** A pipe takes the place of the file at once, so that Falco never finds nothing there. */
    replaceFile() {
      linkSync(falco.pipe, dir.file('before'))
      expect(spawnSync('mkfifo', ['-m', '622', `${falco.pipe}.new`]).status).toBe(0)
      renameSync(`${falco.pipe}.new`, falco.pipe)
    },
    /** Forwards the file's alerts by standard input. */
    async feedFile() {
      const feeding = ['-c', `exec "$@" -f - -s ${server.url} < ${dir.file('before')}`, 'sh']
      await using running = falcoNats([...feeding, ...BUNDLE], { program: ['/bin/sh'] })
      expect(await running.exited()).toBe(0)
      goodbyes.push(running.log().at(-1)!)
    },
  }

  if (!falcoFirst) {
    run()
    if (isStdin) falco.start()
    await ours!.logged('connected')
  }
  if (!falco.isRunning()) falco.start()
  await falco.ready()
  if (!falcoFirst) {
    await hasArrived(falco.printed().at(-1)!)
    // It would count what has arrived and is not confirmed.
    await until('all is confirmed', async () => {
      const samples = await scrape(ours!)
      return total(samples, 'falco_nats_buffer_alerts') === 0
    })
  }
  const since = falco.printed().length
  /** Alerts of the load, where Falco counts them. */
  const raised = async () =>
    isFalcoKilled ? Number.NaN : ((await falco.raised(LOAD_RULE)) ?? Number.NaN)
  raisedBefore = await raised()
  const loadedBefore = loaded()

  async function finish(): Promise<Row> {
    await steps.loaded()
    if (isAway) await steps.nats('start')
    if (!ours) await steps.start()
    if (falco.isRunning()) await hasArrived(await falco.probe())
    const thrownAway = (await raised()) - raisedBefore - (loaded() - loadedBefore)
    const end = falco.printed().length
    if (isStdin) {
      falco.kill('SIGTERM')
      expect(await ours!.exited()).toBe(0)
      goodbyes.push(ours!.log().at(-1)!)
    } else await steps.stop()
    await subscribers.at(-1)!.flush()
    const messages = jetstream
      ? await readStream(server.url)
      : subscribers.flatMap((subscriber) => subscriber.messages)
    // Written and delivered, and Falco may not have printed it yet: another process's alert behind the probe.
    const compared = await until('Falco has printed all that arrived', () => {
      const comparison = compare(falco.printed(), since, messages)
      return comparison.unknown.length === 0 || isFalcoKilled ? comparison : undefined
    })
    return judge(compared, end, thrownAway)
  }

  async function judge(compared: Comparison, end: number, thrownAway: number): Promise<Row> {
    const opened = await Promise.all(loads.map((load) => load.done()))
    const counted = { left: sumOf(goodbyes, 'left'), dropped: sumOf(goodbyes, 'dropped') }
    // Behind the last probe another process's alert may have found no reader.
    const missing = compared.missing.filter((place) => place < end).length
    const { name, loss } = scenario
    const printed = end - since
    const row: Row = {
      name,
      opened: opened.reduce((total, count) => total + count, 0),
      raised: printed + (thrownAway || 0),
      isCounted: !Number.isNaN(thrownAway),
      thrownAway: thrownAway || 0,
      delivered: printed - missing,
      twice: compared.twice,
      counted,
      missing: missing - counted.left - counted.dropped,
      loss,
    }
    console.info(JSON.stringify(row))
    expect(compared.odd).toEqual([])
    // A file that is forwarded by hand comes last.
    const isFed = scenario.happens.some(([name]) => name === 'feedFile')
    expect(compared.inOrder || isFed).toBe(true)
    expect(compared.unknown.length).toBeLessThanOrEqual(isFalcoKilled ? 1 : 0)
    expect(compared.twice).toBeLessThanOrEqual(sumOf(goodbyes, 'resent'))
    const rejected = goodbyes.flatMap(({ reasons }) => Object.entries(reasons ?? {}))
    // Falco prints its statistics, too.
    const notes = isStdin ? [['invalid_json', any]] : []
    if (!isFalcoKilled) expect(rejected).toEqual(notes)
    const gaps = compared.missing.filter((place, at) => place !== compared.missing[at - 1]! + 1)
    if (loss) expect(gaps.length).toBeLessThanOrEqual(ends)
    expect(row).toMatchObject(EXPECTED[loss ?? 'none'])
    for (const [reason, count] of Object.entries(counted))
      expect([reason, count > 0]).toEqual([reason, scenario.counted === reason])
    const rules = new Set(falco.printed().slice(since).map(ruleOf))
    for (const rule of scenario.rules ?? []) expect(rules).toContain(rule)
    return row
  }

  return { steps, finish }
}

const some = { asymmetricMatch: (count: number) => count > 0 }
const any = expect.any(Number)
/** What a scenario's loss, or none, makes of the row. */
const EXPECTED = {
  none: { missing: 0, thrownAway: 0 },
  queue: { missing: 0, thrownAway: some },
  closed: { missing: some, thrownAway: 0 },
  killed: { missing: any, thrownAway: 0 },
  ended: { missing: any, thrownAway: 0 },
}

/** A sum, or the sum of a table of sums, over all last lines. */
const sumOf = (goodbyes: readonly LogLine[], name: string): number =>
  goodbyes
    .flatMap((last) =>
      Object.values((typeof last[name] === 'object' && last[name]) || [last[name] ?? 0]),
    )
    .reduce((total, count) => total + Number(count), 0)

const ruleOf = (line: Buffer) => JSON.parse(line.toString()).rule
