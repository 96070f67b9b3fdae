// The main job: alerts from a source to a sink, until the source ends or somebody says stop.

import { createSubjects } from '../shared/alert/subject.ts'
import { FatalError, messageOf, traceOf } from '../shared/errors.ts'
import { createRejectLog, excerpt, type Logger, type RejectLog } from '../shared/log.ts'
import { checkCredentialFiles, identityOf } from '../shared/nats/credentials.ts'
import { createWakeup, type Wakeup } from '../shared/notifier.ts'
import { bug, saveAtBug } from '../shared/process/end.ts'
import { standardOutput } from '../shared/process/output.ts'
import { aborted, giveUpAfter } from '../shared/process/shutdown.ts'
import { createStats, lost, type Stats } from './accounting/counters.ts'
import { createFalcoEvents, type FalcoEvents } from './accounting/falco-events.ts'
import { createBacklog } from './buffer/alert-buffer.ts'
import { createIntake, type Intake, type OnReject } from './buffer/batcher.ts'
import type { Spool } from './buffer/spool/spool.ts'
import { createConnector } from './delivery/connector.ts'
import { type Courier, coreCourier } from './delivery/core-nats.ts'
import { openDryRun } from './delivery/dry-run.ts'
import { streamSettings } from './delivery/jetstream/stream-settings.ts'
import { openPublisher, type Sink, type Vitals } from './delivery/publisher.ts'
import { type BatchPool, createBatchPool } from './encoding/batch.ts'
import { createEncoder, type Encoder } from './encoding/encoder.ts'
import { createHeaders } from './encoding/headers.ts'
import { ensureFifo } from './input/fifo.ts'
import { openSource } from './input/source.ts'
import { keepTrim } from './memory-trim.ts'
import type { Config } from './options.ts'
import { logSummary } from './summary.ts'
import type { Measured } from './telemetry/metric-table.ts'
import { createPressureLog } from './telemetry/pressure.ts'
import { openTelemetry, routesTo } from './telemetry/telemetry.ts'

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
  const { metricsAddress } = config
  const opening = !config.dryRun && metricsAddress && openTelemetry(metricsAddress, log)
  await using endpoint = (await Promise.race([opening, aborted(stop)])) || undefined
  if (stop.aborted) {
    logSummary(log, stats, config.spoolDir !== undefined)
    return 0
  }
  using _trim = keepTrim(stats)
  const events = endpoint && openEvents(config)
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
  // There when Falco looks for it; but what Falco wrote into it would be lost with us if the spool is in use.
  if (config.pipe !== '-') ensureFifo(config.pipe)
  const spool = config.dryRun ? undefined : await openSpoolOrGoOn(config, stats, log)
  const source = openSource(config.pipe, readBytes, (reason) =>
    log.warn(
      { reason },
      'the pipe cannot be set aside at a stop: what Falco writes in that moment may be lost',
    ),
  )
  // What breaks ends us as a stop does, within the drain timeout.
  const failed = new AbortController()
  const ending = AbortSignal.any([stop, failed.signal])
  ending.addEventListener('abort', changed.notify)
  const givenUp = giveUpAfter(config.drainTimeout, ending, abandon)
  const finish = (why: string | undefined) => {
    saveAtBug(undefined)
    logSummary(log, stats, config.spoolDir !== undefined, why)
  }
  let broken: string | undefined
  {
    await using sink = await openSink({
      config,
      log,
      stats,
      pool,
      encoder,
      changed,
      rejectLog,
      spool,
    })
    saveAtBug((why) => {
      try {
        sink.salvage(intake.takeRest)
      } finally {
        // A line that has begun was read and is not delivered, too.
        if (intake.isMidLine()) stats.read++
        finish(why)
      }
    })
    const { vitals } = sink
    const measure = (vitals: Vitals): Measured => ({
      stats,
      vitals,
      intakeAlerts: intake.waiting(),
      mode: config.jetstream ? 'jetstream' : 'core',
      bufferLimitBytes: config.bufferBytes,
      spoolLimitBytes: config.spoolDir === undefined ? undefined : config.spoolBytes,
      events,
    })
    if (vitals)
      endpoint?.serve(
        routesTo(
          () => measure(vitals()),
          () => ending.aborted,
        ),
      )
    aborted(stop).then(() => log.info('stopping: delivering what was read'))
    log.info({ input: config.pipe, subject: config.subject.text }, `reading ${source.kind}`)
    const fail = (error: unknown) => {
      if (!(error instanceof FatalError)) bug(error)
      broken ??= error.message
      failed.abort()
    }
    const reading = source.pump(intake, ending, givenUp).catch(fail)
    await Promise.race([flow(reading, intake, sink, ending).catch(fail), aborted(givenUp)])
    // It has ended, or ends now: what is still in the pipe is counted even if nothing is delivered any more.
    await reading
    // Given up: what is not taken yet can still reach the spool. A dry run has none.
    const rest = intake.takeRest()
    if (rest && !config.dryRun) await sink.put(rest)
  }
  finish(broken)
  return broken === undefined && lost(stats) === 0 ? 0 : 1
}

function openEvents({ falcoEvents, maxSeries }: Config): FalcoEvents | undefined {
  if (falcoEvents === 'off') return undefined
  return createFalcoEvents(falcoEvents === 'full' ? Number.POSITIVE_INFINITY : maxSeries)
}

/** The data's whole way: read → intake → batch → sink. Both sides run until the input ends. */
async function flow(
  reading: Promise<void>,
  intake: Intake,
  sink: Sink,
  ending: AbortSignal,
): Promise<void> {
  // At the end what is read is handed over whether or not there is room: reading does not wait for it then.
  const wants: Sink['wants'] = (full) => (full && ending.aborted) || sink.wants(full)
  for await (const batch of intake.batches({ ...sink, wants })) await sink.put(batch)
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
  readonly spool: Spool | undefined
}

async function openSink(parts: SinkParts): Promise<Sink> {
  const { config, log, stats, pool, encoder, changed, rejectLog: onReject, spool } = parts
  if (config.dryRun) return openDryRun(standardOutput(), pool, stats)
  const { bufferBytes, whenFull } = config
  const backlog = createBacklog({ bufferBytes, whenFull, spool, encoder, pool, stats, log })
  const connector = createConnector({
    servers: config.server,
    credentials: config,
    identity: identityOf(config, 'falco-nats'),
    stats,
    log,
  })
  const courier = config.jetstream ? await openJetStream(config, stats, log) : coreCourier
  const onLook = createPressureLog(log, stats, spool ? 'buffer and spool' : 'buffer')
  return openPublisher({ connector, courier, backlog, stats, changed, onReject, onLook })
}

/** Loaded only where it is wanted. */
async function openJetStream(config: Config, stats: Stats, log: Logger): Promise<Courier> {
  const { createJetStreamCourier } = await import('./delivery/jetstream/jetstream.ts')
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
    const { openSpool } = await import('./buffer/spool/spool.ts')
    const spool = await openSpool(spoolDir, spoolBytes)
    if (spool.movedAside !== undefined) {
      stats.spoolErrors++
      log.error(
        { movedTo: spool.movedAside },
        'the spool was damaged: moved aside, a new one begun',
      )
    }
    if (spool.cutLog !== undefined) {
      stats.spoolErrors++
      log.error(
        { copiedTo: spool.cutLog },
        'the log of the spool was damaged: the last alerts of the last run may be missing',
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
