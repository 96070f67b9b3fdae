// What the reading and the publishing side share, made from the options.

import { subjectOf } from '../shared/alert/subject.ts'
import { traceOf } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { createNotifier } from '../shared/notifier.ts'
import type { Counters } from './accounting/counters.ts'
import { createFalcoReports } from './accounting/falco-reports.ts'
import { createRejectLog, excerpt } from './accounting/rejects.ts'
import type { OnReject } from './buffer/batcher.ts'
import { createBatchPool } from './encoding/batch.ts'
import { createEncoder } from './encoding/encoder.ts'
import { type Header, headersOf } from './encoding/headers.ts'
import type { Environment } from './environment.ts'
import type { Config } from './options.ts'

export type Parts = ReturnType<typeof createParts>

export function createParts(
  config: Config,
  environment: Environment,
  log: Logger,
  counters: Counters,
) {
  const { clock } = environment
  const rejectLog = createRejectLog(log, clock)
  const onReject: OnReject = (reason, bytes, length, error) =>
    rejectLog(reason, () => ({
      bytes: length,
      excerpt: excerpt(bytes),
      ...(error !== undefined && { error: traceOf(error) }),
    }))
  const { stream, addHeader = [] } = config
  const expected: readonly Header[] = stream === undefined ? [] : [['Nats-Expected-Stream', stream]]
  const headers = { falco: config.headers === 'on', added: [...expected, ...addHeader] }
  const encoder = createEncoder(
    (alert) => subjectOf(config.subject, alert),
    (alert) => headersOf(headers, alert),
    (line, error) => {
      counters.rejected.internal_error++
      onReject('internal_error', line, line.length, error)
    },
  )
  const reports = createFalcoReports(log, clock, counters)
  const pool = createBatchPool(config.batchBytes)
  /** Notified whenever one side may have waited for the other. */
  const stateChanged = createNotifier()
  return {
    config,
    environment,
    clock,
    log,
    counters,
    pool,
    encoder,
    stateChanged,
    rejectLog,
    onReject,
    reports,
  }
}
