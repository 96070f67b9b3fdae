// The main job: alerts from a source to a sink, until the source ends or somebody says stop.

import { PRIORITIES } from './alert.ts'
import { createBacklog } from './backlog.ts'
import { type BatchPool, createBatchPool } from './batch.ts'
import { createConnector } from './connection.ts'
import { type Courier, coreCourier } from './courier.ts'
import { checkCredentialFiles, identityOf } from './credentials.ts'
import { openDryRun } from './dry-run.ts'
import { createEncoder, type Encoder } from './encode.ts'
import { bug, saveAtBug } from './end.ts'
import { FatalError, messageOf, traceOf } from './errors.ts'
import { createHeaders } from './headers.ts'
import { createIntake, type Intake, type OnReject } from './intake.ts'
import { createRejectLog, excerpt, type Logger, type RejectLog } from './log.ts'
import type { Config } from './options.ts'
import { standardOutput } from './output.ts'
import { openPublisher, type Sink } from './publisher.ts'
import { aborted, giveUpAfter } from './signals.ts'
import { openSource, type Source } from './source.ts'
import type { Spool } from './spool.ts'
import {
  createStats,
  held,
  lost,
  type Stats,
  totalBatches,
  totalDropped,
  totalFiltered,
  totalRejected,
} from './stats.ts'
import { streamSettings } from './stream-settings.ts'
import { createSubjects } from './subject.ts'
import { keepTrim } from './trim.ts'
import { createWakeup, type Wakeup } from './wakeup.ts'
import { createEvents, openWatch, routesTo } from './watch.ts'

/** Linux hands over at most a pipe's 64 KiB at once. */
const READ_BYTES_MAX = 64 * 1024
const MAX_IN_FLIGHT = 1024

/**
 * Forwards until the input ends, or until `stop` and all that was read by then is delivered.
 * Gives the exit code: 0 all was delivered, 1 something was lost. `abandon` gives up at once.
 */
export async function forward(
  config: Config,
  log: Logger,
  stop: AbortSignal,
  abandon: AbortSignal,
): Promise<0 | 1> {
  if (!config.dryRun) checkCredentialFiles(config, config.server)
  const stats = createStats()
  // First, so that a port that is taken leaves the pipe alone. The name of a host may take long.
  await using endpoint = await Promise.race([openWatch(config, log), aborted(stop)])
  if (stop.aborted) {
    sayGoodbye(log, stats)
    return 0
  }
  using _trim = keepTrim(stats)
  const events = endpoint && createEvents(config)
  const pool = createBatchPool(config.batchBytes)
  const readBytes = Math.min(READ_BYTES_MAX, config.batchBytes >> 1)
  const rejectLog = createRejectLog(log)
  const headersFor = createHeaders({
    falco: config.headers === 'on',
    added: [
      ...(config.stream === undefined ? [] : [['Nats-Expected-Stream', config.stream] as const]),
      ...(config.addHeader ?? []),
    ],
  })
  const onReject: OnReject = (reason, bytes, length, error) =>
    rejectLog(reason, () => ({
      bytes: length,
      excerpt: excerpt(bytes),
      ...(error !== undefined && { error: traceOf(error) }),
    }))
  const encoder = createEncoder(createSubjects(config.subject), headersFor, (line, error) => {
    stats.rejected.internal_error++
    onReject('internal_error', line, line.length, error)
  })
  const changed = createWakeup()
  const intake = createIntake({
    pool,
    readBytes,
    maxLineBytes: config.maxLineBytes,
    minPriority: config.minPriority,
    encoder,
    stats,
    events,
    changed,
    onReject,
  })
  const source = openSource(config.pipe, readBytes, (reason) =>
    log.warn(
      { reason },
      'the pipe cannot be set aside at a stop: what Falco writes in that moment may be lost',
    ),
  )
  const givenUp = aborted(giveUpAfter(config.drainTimeout, stop, abandon))
  const finish = (why: string | undefined) => {
    saveAtBug(undefined)
    // Given up in the middle of a line: that is something read and not delivered, too.
    if (intake.isMidLine()) stats.read++
    sayGoodbye(log, stats, why)
  }
  let broken: string | undefined
  {
    await using sink = await openSink({ config, log, stats, pool, encoder, changed, rejectLog })
    saveAtBug((why) => {
      try {
        sink.salvage(intake.takeRest)
      } finally {
        finish(why)
      }
    })
    const { vitals } = sink
    if (vitals) endpoint?.serve(routesTo({ config, stats, vitals, intake, events, stop }))
    aborted(stop).then(() => log.info('stopping: delivering what was read'))
    log.info({ input: config.pipe, subject: config.subject.text }, `reading ${source.kind}`)
    try {
      await Promise.race([flow(source, intake, sink, stop), givenUp])
    } catch (error) {
      if (!(error instanceof FatalError)) bug(error)
      broken = error.message
    }
    // Given up: what is not taken yet can still reach the spool. Standard output it would wait for.
    const rest = config.dryRun ? undefined : intake.takeRest()
    if (rest && broken === undefined) await sink.put(rest)
  }
  finish(broken)
  return broken === undefined && lost(stats) === 0 ? 0 : 1
}

/** The data's whole way: read → intake → batch → sink. Both sides run until the input ends. */
async function flow(source: Source, intake: Intake, sink: Sink, stop: AbortSignal): Promise<void> {
  const reading = source.pump(intake, stop)
  reading.catch(() => {}) // heard below, after what was read until then is delivered
  for await (const batch of intake.batches(sink)) await sink.put(batch)
  await sink.drain()
  await reading
}

interface SinkParts {
  readonly config: Config
  readonly log: Logger
  readonly stats: Stats
  readonly pool: BatchPool
  readonly encoder: Encoder
  readonly changed: Wakeup
  readonly rejectLog: RejectLog
}

async function openSink(parts: SinkParts): Promise<Sink> {
  const { config, log, stats, pool, encoder, changed, rejectLog: onReject } = parts
  if (config.dryRun) return openDryRun(standardOutput(), pool, stats)
  const { bufferBytes, whenFull } = config
  const spool = await openSpoolOrGoOn(config, stats, log)
  const backlog = createBacklog({ bufferBytes, whenFull, spool, encoder, pool, stats, log })
  const connector = createConnector({
    servers: config.server,
    credentials: config,
    identity: identityOf(config, 'falco-nats'),
    stats,
    log,
  })
  const courier = config.jetstream ? await openJetStream(config, stats, log) : coreCourier
  return openPublisher({ connector, courier, backlog, stats, changed, onReject })
}

/** Loaded only where it is wanted. */
async function openJetStream(config: Config, stats: Stats, log: Logger): Promise<Courier> {
  const { createJetStreamCourier } = await import('./jetstream.ts')
  return createJetStreamCourier({
    settings: streamSettings(config),
    create: config.createStream,
    maxInFlight: config.maxInFlight ?? MAX_IN_FLIGHT,
    stats,
    log,
  })
}

/** A disk that cannot be used must not keep alerts from being forwarded from memory. */
async function openSpoolOrGoOn(
  config: Config,
  stats: Stats,
  log: Logger,
): Promise<Spool | undefined> {
  const { spoolDir, spoolBytes } = config
  if (spoolDir === undefined) return undefined
  try {
    const { openSpool } = await import('./spool.ts')
    const spool = await openSpool(spoolDir, spoolBytes)
    if (spool.movedAside !== undefined) {
      stats.spoolErrors++
      log.error(
        { movedTo: spool.movedAside },
        'the spool was damaged: moved aside, a new one begun',
      )
    }
    if (spool.alerts() > 0)
      log.info(
        { alerts: spool.alerts() },
        'the spool holds alerts of an earlier run: they go first',
      )
    return spool
  } catch (error) {
    if (error instanceof FatalError) throw error
    stats.spoolErrors++
    log.error(
      { spoolDir, reason: messageOf(error) },
      'the spool cannot be used: going on without it, from memory',
    )
    return undefined
  }
}

function sayGoodbye(log: Logger, stats: Stats, broken?: string): void {
  const { read, restored, delivered, duplicates, rejected, dropped, unreadable } = stats
  const reasons = Object.entries(rejected).filter(([, count]) => count > 0)
  const byPriority = dropped.map((count, index) => [PRIORITIES[index], count] as const)
  const sums = {
    read,
    ...(restored > 0 && { restored }),
    delivered,
    ...(duplicates > 0 && { duplicates }),
    filtered: totalFiltered(stats),
    rejected: totalRejected(stats),
    ...(reasons.length > 0 && { reasons: Object.fromEntries(reasons) }),
    ...(totalDropped(stats) > 0 && {
      dropped: Object.fromEntries(byPriority.filter(([, count]) => count > 0)),
    }),
    ...(unreadable > 0 && { unreadable }),
    ...(stats.spooled > 0 && { spooled: stats.spooled }),
    left: held(stats) - stats.spooled,
    resent: stats.resent,
    batches: totalBatches(stats),
  }
  const why = [broken, whyLost(stats)].filter(Boolean).join(', ')
  if (why !== '') log.error(sums, `done: ${lost(stats)} alerts were lost (${why})`)
  else if (stats.spooled === 0) log.info(sums, 'done: all alerts were delivered')
  else log.info(sums, `done: ${stats.spooled} alerts wait in the spool for the next start`)
}

function whyLost(stats: Stats): string {
  const { internal_error, exceeds_max_payload, permission_denied, refused_by_stream } =
    stats.rejected
  const reasons: [count: number, text: string][] = [
    [held(stats) - stats.spooled, 'not delivered in time'],
    [internal_error, 'failed here, by a bug'],
    [exceeds_max_payload, "over the server's max_payload"],
    [permission_denied, 'denied by permissions'],
    [refused_by_stream, 'refused by the stream'],
    [totalDropped(stats), 'dropped because buffer and spool were full'],
    [stats.unreadable, 'unreadable in a damaged spool'],
  ]
  return reasons
    .filter(([count]) => count > 0)
    .map(([count, text]) => `${count} ${text}`)
    .join(', ')
}
