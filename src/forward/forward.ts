// The main job: alerts from a source to a sink, until the source ends or a signal asks for a stop.

import { FatalError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { checkCredentialFiles } from '../shared/nats/credentials.ts'
import { aborted, giveUpAfter } from '../shared/process/shutdown.ts'
import { createCounters, lost } from './accounting/counters.ts'
import { createFalcoEvents } from './accounting/falco-events.ts'
import { adoptFile } from './adopting.ts'
import { type Batcher, createBatcher } from './buffer/batcher.ts'
import type { Sink, Vitals } from './delivery/sink.ts'
import type { Environment } from './environment.ts'
import { openSource } from './input/source.ts'
import { openSink, openSpoolOrGoOn } from './open-sink.ts'
import type { Config } from './options.ts'
import { createParts } from './parts.ts'
import { logSummary } from './summary.ts'
import type { Measured } from './telemetry/metrics.ts'

/** Linux hands over at most a pipe's 64 KiB at once. */
const READ_BYTES_MAX = 64 * 1024

/** Returns the exit code: 0 all was delivered, 1 something was lost. `stop` drains what was read; `abandon` gives up. */
export async function forward(
  config: Config,
  environment: Environment,
  log: Logger,
  stop: AbortSignal,
  abandon: AbortSignal,
): Promise<0 | 1> {
  const { dryRun, metricsAddress, falcoEvents, maxSeries } = config
  if (!dryRun) checkCredentialFiles(config, config.server)
  const counters = createCounters()
  const finish = (why?: string) => {
    environment.saveAtBug(undefined)
    logSummary(log, counters, config.spoolDir !== undefined, why)
  }
  // First, so that a port that is taken leaves the pipe alone. The name of a host may take long.
  const endpointOpened =
    metricsAddress && !dryRun ? environment.openTelemetry(metricsAddress, log) : undefined
  await using endpoint = await Promise.race([endpointOpened, aborted(stop)])
  if (stop.aborted) {
    finish()
    return 0
  }
  const seriesMax = falcoEvents === 'full' ? Number.POSITIVE_INFINITY : maxSeries
  const events = endpoint && falcoEvents !== 'off' ? createFalcoEvents(seriesMax) : undefined
  const parts = createParts(config, environment, log, counters)
  const readBytes = Math.min(READ_BYTES_MAX, config.batchBytes >> 1)
  const onReport = parts.reports.take
  const batcher = createBatcher({ ...parts, ...config, readBytes, events, onReport })
  // There when Falco looks for it; but what Falco wrote into it would be lost with us if the spool is in use.
  const isPipe = config.pipe !== '-'
  const adopted =
    isPipe && config.adoptFile
      ? adoptFile(config.pipe, readBytes, environment, counters, log)
      : undefined
  const left = isPipe && !config.adoptFile && environment.inputs.leftAdopted(config.pipe)
  if (left)
    log.warn({ file: left }, 'an adopted file is left of an earlier start: --adopt-file reads it')
  if (isPipe) environment.inputs.makePipe(config.pipe)
  const spool = await openSpoolOrGoOn(parts)
  const source = openSource(config.pipe, readBytes, environment, {
    notAside: (reason) =>
      log.warn(
        { reason },
        'the pipe cannot be set aside at a stop: what Falco writes in that moment may be lost',
      ),
    writerStays: () =>
      log.warn(
        'a process still has the pipe open: what it writes from now on is lost; Falco needs keep_alive: false, and a restart',
      ),
  })
  // A failure ends the job as a stop does, within the drain timeout.
  const failed = new AbortController()
  const ending = AbortSignal.any([stop, failed.signal])
  ending.addEventListener('abort', parts.stateChanged.notify)
  const givenUp = giveUpAfter(config.drainTimeout, ending, abandon, environment.clock)
  let broken: string | undefined
  const fail = (error: unknown) => {
    if (!(error instanceof FatalError)) environment.bug(error)
    broken ??= error.message
    failed.abort()
  }
  {
    await using sink = await openSink(parts, spool)
    environment.saveAtBug((why) => {
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
      now: environment.clock.now(),
      counters,
      vitals,
      batcherAlerts: batcher.waiting(),
      mode: config.jetstream ? 'jetstream' : 'core',
      bufferLimitBytes: config.bufferBytes,
      spoolLimitBytes: config.spoolDir === undefined ? undefined : config.spoolBytes,
      events,
      snapshots: parts.reports.snapshots(),
    })
    const isStopping = () => ending.aborted
    if (vitals) endpoint?.serve(() => measure(vitals()), isStopping)
    aborted(stop).then(() => log.info('stopping: delivering what was read'))
    log.info({ input: config.pipe, subject: config.subject.text }, `reading ${source.kind}`)
    const pump = adopted ? adopted.before(source.pump) : source.pump
    const reading = pump(batcher, ending, givenUp).catch(fail)
    await Promise.race([flow(reading, batcher, sink, ending).catch(fail), aborted(givenUp)])
    // Reading has ended, or ends now: alerts still in the pipe are counted even if they are not delivered.
    await reading
    // Given up: alerts that the sink has not taken can still reach the spool. A dry run has no spool.
    const rest = batcher.takeRest()
    if (rest && !dryRun) await sink.put(rest)
  }
  adopted?.end()
  finish(broken)
  return broken === undefined && lost(counters) === 0 ? 0 : 1
}

/** The data's whole way: read → batcher → batch → sink. Both sides run until the input ends. */
async function flow(reading: Promise<void>, batcher: Batcher, sink: Sink, ending: AbortSignal) {
  // At the end the sink takes alerts whether or not it has room: reading no longer waits for it.
  const wants: Sink['wants'] = (full) => (full && ending.aborted) || sink.wants(full)
  for await (const batch of batcher.batches({ ...sink, wants })) await sink.put(batch)
  await sink.drain()
  await reading
}
