// The main job: alerts from a source to a sink, until the source ends or somebody says stop.

import { hostname } from 'node:os'
import { type BatchPool, createBatchPool } from './batch.ts'
import { createConnector } from './connection.ts'
import { publishCore } from './courier.ts'
import { checkCredentialFiles } from './credentials.ts'
import { openDryRun } from './dry-run.ts'
import { FatalError } from './errors.ts'
import { createIntake, type Intake } from './intake.ts'
import { createRejectLog, excerpt, type Logger, type RejectLog } from './log.ts'
import type { Config } from './options.ts'
import { openPublisher, type Sink } from './publisher.ts'
import { openSource, type Source } from './source.ts'
import { createStats, held, lost, type Stats, totalRejected } from './stats.ts'
import { createSubjects } from './subject.ts'

/** Linux hands over at most a pipe's 64 KiB at once. */
const READ_BYTES_MAX = 64 * 1024

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
  const pool = createBatchPool(config.batchBytes)
  const readBytes = Math.min(READ_BYTES_MAX, config.batchBytes >> 1)
  const rejectLog = createRejectLog(log)
  const intake = createIntake({
    pool,
    readBytes,
    maxLineBytes: config.maxLineBytes,
    minPriority: config.minPriority,
    subjectFor: createSubjects(config.subject),
    stats,
    onReject: (reason, bytes, length) =>
      rejectLog(reason, () => ({ bytes: length, excerpt: excerpt(bytes) })),
  })
  const source = openSource(config.pipe, readBytes)
  const givenUp = Promise.withResolvers<void>()
  giveUpAfter(config.drainTimeout, stop, abandon, givenUp.resolve)
  let broken: string | undefined
  {
    await using sink = openSink(config, log, stats, pool, rejectLog)
    stop.addEventListener('abort', () => log.info('stopping: delivering what was read'))
    log.info({ input: config.pipe, subject: config.subject.text }, `reading ${source.kind}`)
    try {
      await Promise.race([flow(source, intake, sink, stop), givenUp.promise])
    } catch (error) {
      if (!(error instanceof FatalError)) throw error
      broken = error.message
    }
  }
  // Given up in the middle of a line: that is something read and not delivered, too.
  if (intake.isMidLine()) stats.read++
  sayGoodbye(log, stats, broken)
  return broken === undefined && lost(stats) === 0 ? 0 : 1
}

/** The data's whole way: read → intake → batch → sink. Both sides run until the input ends. */
async function flow(source: Source, intake: Intake, sink: Sink, stop: AbortSignal): Promise<void> {
  const reading = source.pump(intake, stop)
  reading.catch(() => {}) // heard below, after what was read until then is delivered
  for await (const batch of intake.batches()) await sink.publish(batch)
  await sink.drain()
  await reading
}

function openSink(
  config: Config,
  log: Logger,
  stats: Stats,
  pool: BatchPool,
  onReject: RejectLog,
): Sink {
  if (config.dryRun) return openDryRun(process.stdout, pool, stats)
  const name = config.connectionName ?? `falco-nats@${hostname()}`
  const connector = createConnector({ servers: config.server, credentials: config, name, log })
  return openPublisher({ connector, courier: publishCore, pool, stats, onReject })
}

/** A stop may take `drainTimeout` ms, and a second one nothing. */
function giveUpAfter(
  drainTimeout: number,
  stop: AbortSignal,
  abandon: AbortSignal,
  giveUp: () => void,
): void {
  abandon.addEventListener('abort', giveUp)
  stop.addEventListener('abort', () => setTimeout(giveUp, drainTimeout).unref())
}

function sayGoodbye(log: Logger, stats: Stats, broken?: string): void {
  const { read, delivered, filtered, rejected, resent, batches } = stats
  const reasons = Object.entries(rejected).filter(([, count]) => count > 0)
  const sums = {
    read,
    delivered,
    filtered,
    rejected: totalRejected(stats),
    ...(reasons.length > 0 && { reasons: Object.fromEntries(reasons) }),
    left: held(stats),
    resent,
    batches,
  }
  const why = [broken, whyLost(stats)].filter(Boolean).join(', ')
  if (why === '') log.info(sums, 'done: all alerts were delivered')
  else log.error(sums, `done: ${lost(stats)} alerts were lost (${why})`)
}

function whyLost(stats: Stats): string {
  const { exceeds_max_payload, permission_denied } = stats.rejected
  return [
    held(stats) > 0 && `${held(stats)} not delivered in time`,
    exceeds_max_payload > 0 && `${exceeds_max_payload} over the server's max_payload`,
    permission_denied > 0 && `${permission_denied} denied by permissions`,
  ]
    .filter(Boolean)
    .join(', ')
}
