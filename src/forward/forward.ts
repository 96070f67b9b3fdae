// The main job: alerts from a source to a sink, until the source ends or somebody says stop.

import { subjectOf } from '../shared/alert/subject.ts'
import { FatalError, messageOf, traceOf } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { checkCredentialFiles, identityOf } from '../shared/nats/credentials.ts'
import { createNotifier, type Notifier } from '../shared/notifier.ts'
import { bug, saveAtBug } from '../shared/process/end.ts'
import { standardOutput } from '../shared/process/output.ts'
import { aborted, giveUpAfter } from '../shared/process/shutdown.ts'
import { type Counters, createCounters, lost } from './accounting/counters.ts'
import { createFalcoEvents, type FalcoEvents } from './accounting/falco-events.ts'
import { createRejectLog, excerpt, type RejectLog } from './accounting/rejects.ts'
import { createAlertBuffer } from './buffer/alert-buffer.ts'
import { type Batcher, createBatcher, type OnReject } from './buffer/batcher.ts'
import type { Spool } from './buffer/spool/spool.ts'
import { createConnector } from './delivery/connector.ts'
import { coreNats } from './delivery/core-nats.ts'
import { openDryRun } from './delivery/dry-run.ts'
import { streamSettings } from './delivery/jetstream/stream-settings.ts'
import { openPublisher } from './delivery/publisher.ts'
import type { Sink, Vitals } from './delivery/sink.ts'
import type { Transport } from './delivery/transport.ts'
import { type BatchPool, createBatchPool } from './encoding/batch.ts'
import { createEncoder, type Encoder } from './encoding/encoder.ts'
import { headersOf } from './encoding/headers.ts'
import { ensureFifo } from './input/fifo.ts'
import { openSource } from './input/source.ts'
import { trimHeap } from './memory-trim.ts'
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
  const counters = createCounters()
  // First, so that a port that is taken leaves the pipe alone. The name of a host may take long.
  const { metricsAddress } = config
  const opening = !config.dryRun && metricsAddress && openTelemetry(metricsAddress, log)
  await using endpoint = (await Promise.race([opening, aborted(stop)])) || undefined
  if (stop.aborted) {
    logSummary(log, counters, config.spoolDir !== undefined)
    return 0
  }
  trimHeap()
  const events = endpoint && openEvents(config)
  const pool = createBatchPool(config.batchBytes)
  const readBytes = Math.min(READ_BYTES_MAX, config.batchBytes >> 1)
  const rejectLog = createRejectLog(log)
  const headers = {
    falco: config.headers === 'on',
    added: [
      ...(config.stream === undefined ? [] : [['Nats-Expected-Stream', config.stream] as const]),
      ...(config.addHeader ?? []),
    ],
  }
  const onReject: OnReject = (reason, bytes, length, error) =>
    rejectLog(reason, () => ({
      bytes: length,
      excerpt: excerpt(bytes),
      ...(error !== undefined && { error: traceOf(error) }),
    }))
  const encoder = createEncoder(
    (alert) => subjectOf(config.subject, alert),
    (alert) => headersOf(headers, alert),
    (line, error) => {
      counters.rejected.internal_error++
      onReject('internal_error', line, line.length, error)
    },
  )
  const stateChanged = createNotifier()
  const batcher = createBatcher({
    pool,
    readBytes,
    maxLineBytes: config.maxLineBytes,
    minPriority: config.minPriority,
    encoder,
    counters,
    events,
    stateChanged,
    onReject,
  })
  // There when Falco looks for it; but what Falco wrote into it would be lost with us if the spool is in use.
  if (config.pipe !== '-') ensureFifo(config.pipe)
  const spool = config.dryRun ? undefined : await openSpoolOrGoOn(config, counters, log)
  const source = openSource(config.pipe, readBytes, (reason) =>
    log.warn(
      { reason },
      'the pipe cannot be set aside at a stop: what Falco writes in that moment may be lost',
    ),
  )
  // What breaks ends us as a stop does, within the drain timeout.
  const failed = new AbortController()
  const ending = AbortSignal.any([stop, failed.signal])
  ending.addEventListener('abort', stateChanged.notify)
  const givenUp = giveUpAfter(config.drainTimeout, ending, abandon)
  const finish = (why: string | undefined) => {
    saveAtBug(undefined)
    logSummary(log, counters, config.spoolDir !== undefined, why)
  }
  let broken: string | undefined
  {
    await using sink = await openSink({
      config,
      log,
      counters,
      pool,
      encoder,
      stateChanged,
      rejectLog,
      spool,
    })
    saveAtBug((why) => {
      try {
        sink.salvage(batcher.takeRest)
      } finally {
        // A line that has begun was read and is not delivered, too.
        if (batcher.isMidLine()) counters.read++
        finish(why)
      }
    })
    const { vitals } = sink
    const measure = (vitals: Vitals): Measured => ({
      counters,
      vitals,
      batcherAlerts: batcher.waiting(),
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
    const reading = source.pump(batcher, ending, givenUp).catch(fail)
    await Promise.race([flow(reading, batcher, sink, ending).catch(fail), aborted(givenUp)])
    // It has ended, or ends now: what is still in the pipe is counted even if nothing is delivered any more.
    await reading
    // Given up: what is not taken yet can still reach the spool. A dry run has none.
    const rest = batcher.takeRest()
    if (rest && !config.dryRun) await sink.put(rest)
  }
  finish(broken)
  return broken === undefined && lost(counters) === 0 ? 0 : 1
}

function openEvents({ falcoEvents, maxSeries }: Config): FalcoEvents | undefined {
  if (falcoEvents === 'off') return undefined
  return createFalcoEvents(falcoEvents === 'full' ? Number.POSITIVE_INFINITY : maxSeries)
}

/** The data's whole way: read → batcher → batch → sink. Both sides run until the input ends. */
async function flow(
  reading: Promise<void>,
  batcher: Batcher,
  sink: Sink,
  ending: AbortSignal,
): Promise<void> {
  // At the end what is read is handed over whether or not there is room: reading does not wait for it then.
  const wants: Sink['wants'] = (full) => (full && ending.aborted) || sink.wants(full)
  for await (const batch of batcher.batches({ ...sink, wants })) await sink.put(batch)
  await sink.drain()
  await reading
}

interface SinkParts {
  readonly config: Config
  readonly log: Logger
  readonly counters: Counters
  readonly pool: BatchPool
  readonly encoder: Encoder
  readonly stateChanged: Notifier
  readonly rejectLog: RejectLog
  readonly spool: Spool | undefined
}

async function openSink(parts: SinkParts): Promise<Sink> {
  const { config, log, counters, pool, encoder, stateChanged, rejectLog: onReject, spool } = parts
  if (config.dryRun) return openDryRun(standardOutput(), pool, counters)
  const { bufferBytes, whenFull } = config
  const buffer = createAlertBuffer({ bufferBytes, whenFull, spool, encoder, pool, counters, log })
  const connector = createConnector({
    servers: config.server,
    credentials: config,
    identity: identityOf(config, 'falco-nats'),
    counters,
    log,
  })
  const transport = config.jetstream ? await openJetStream(config, counters, log) : coreNats
  const onLook = createPressureLog(log, counters, spool ? 'buffer and spool' : 'buffer')
  return openPublisher({ connector, transport, buffer, counters, stateChanged, onReject, onLook })
}

/** Loaded only where it is wanted. */
async function openJetStream(config: Config, counters: Counters, log: Logger): Promise<Transport> {
  const { createJetStreamTransport } = await import('./delivery/jetstream/jetstream.ts')
  return createJetStreamTransport({
    settings: streamSettings(config),
    create: config.createStream,
    maxInFlight: config.maxInFlight ?? MAX_IN_FLIGHT,
    counters,
    log,
  })
}

/** A disk that cannot be used must not keep alerts from being forwarded from memory. */
async function openSpoolOrGoOn(
  config: Config,
  counters: Counters,
  log: Logger,
): Promise<Spool | undefined> {
  const { spoolDir, spoolBytes } = config
  if (spoolDir === undefined) return undefined
  try {
    const { openSpool } = await import('./buffer/spool/spool.ts')
    const spool = await openSpool(spoolDir, spoolBytes)
    if (spool.movedAside !== undefined) {
      counters.spoolErrors++
      log.error(
        { movedTo: spool.movedAside },
        'the spool was damaged: moved aside, a new one begun',
      )
    }
    if (spool.cutLog !== undefined) {
      counters.spoolErrors++
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
    counters.spoolErrors++
    log.error(
      { spoolDir, reason: messageOf(error) },
      'the spool cannot be used: going on without it, from memory',
    )
    return undefined
  }
}
