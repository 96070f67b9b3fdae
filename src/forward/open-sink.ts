// Where batches go: to NATS through a buffer and perhaps a spool, or to standard output.

import { FatalError, messageOf } from '../shared/errors.ts'
import { standardOutput } from '../shared/process/output.ts'
import { createAlertBuffer } from './buffer/alert-buffer.ts'
import type { Spool } from './buffer/spool/spool.ts'
import { whatIfFull } from './buffer/when-full.ts'
import { createConnector } from './delivery/connector.ts'
import { createCoreNats } from './delivery/core-nats.ts'
import { openDryRun } from './delivery/dry-run.ts'
import { streamSettings } from './delivery/jetstream/stream-settings.ts'
import { openPublisher } from './delivery/publisher.ts'
import type { Sink } from './delivery/sink.ts'
import type { Transport } from './delivery/transport.ts'
import type { Parts } from './parts.ts'
import { createPressureLog } from './telemetry/pressure.ts'

const MAX_IN_FLIGHT = 1024

export async function openSink(parts: Parts, spool: Spool | undefined): Promise<Sink> {
  const { config, environment, clock, log, counters, pool } = parts
  if (config.dryRun) return openDryRun(standardOutput(), pool, counters)
  const { bufferBytes, whenFull, server: servers } = config
  return openPublisher({
    ...parts,
    buffer: createAlertBuffer({ ...parts, bufferBytes, whenFull, spool }),
    connector: createConnector({ ...environment, servers, counters, log }),
    transport: config.jetstream ? await openJetStream(parts) : createCoreNats(clock),
    onLook: createPressureLog(
      log,
      counters,
      spool ? 'buffer and spool' : 'buffer',
      whatIfFull(whenFull),
    ),
  })
}

async function openJetStream({ config, environment, counters, log }: Parts): Promise<Transport> {
  const { createJetStreamTransport } = await environment.loadJetStream()
  const { createStream, maxInFlight = MAX_IN_FLIGHT } = config
  const settings = streamSettings(config)
  const makeStream = createStream ? environment.makeStream : undefined
  return createJetStreamTransport({
    ...environment,
    settings,
    makeStream,
    maxInFlight,
    counters,
    log,
  })
}

/** Undefined without a spool, or if its disk fails: alerts are then forwarded from memory. */
export async function openSpoolOrGoOn({ config, environment, counters, log }: Parts) {
  const { spoolDir, spoolBytes } = config
  if (config.dryRun || spoolDir === undefined) return undefined
  const fail = (fields: Record<string, string>, message: string) => {
    counters.spoolErrors++
    log.error(fields, message)
  }
  try {
    const spool = await environment.openSpool(spoolDir, spoolBytes)
    const { movedAside: movedTo, cutLog: copiedTo } = spool
    const alerts = spool.alerts()
    if (movedTo !== undefined)
      fail({ movedTo }, 'the spool was damaged: moved aside, a new one begun')
    const missing = 'the last alerts of the last run may be missing'
    if (copiedTo !== undefined) fail({ copiedTo }, `the log of the spool was damaged: ${missing}`)
    if (alerts > 0) log.info({ alerts }, 'the spool holds alerts of an earlier run: they go first')
    return spool
  } catch (error) {
    if (error instanceof FatalError) throw error
    const reason = messageOf(error)
    fail({ spoolDir, reason }, 'the spool cannot be used: going on without it, from memory')
    return undefined
  }
}
