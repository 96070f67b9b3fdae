// The options of falco-nats for a script, as they are given to the program.

import { PRIORITIES } from '../../../src/shared/alert/alert.ts'
import { STREAM } from './ground.ts'
import { PASSWORD, userOf } from './real-server.ts'
import { configOf, type Script } from './script.ts'

interface Places {
  readonly pipe: string
  /** `host:port` of the server. */
  readonly address: string
  readonly spool: string
}

export function argumentsOf(script: Script, { pipe, address, spool }: Places): string[] {
  const { config } = script
  const { drainTimeout, bufferBytes, spoolBytes, maxLineBytes, minPriority } = configOf(config)
  return [
    ...['-f', pipe, '-s', `nats://${userOf(script)}:${PASSWORD}@${address}`],
    ...['--metrics-address', '127.0.0.1:1', '--falco-events', 'off'],
    ...['--batch-bytes', `${config.batchBytes}`, '--buffer-bytes', `${bufferBytes}`],
    ...['--max-line-bytes', `${maxLineBytes}`, '--drain-timeout', `${drainTimeout}ms`],
    ...['--min-priority', PRIORITIES[minPriority]!],
    ...['--headers', config.headers ? 'on' : 'off'],
    ...(config.spool ? ['--spool-dir', spool, '--spool-bytes', `${spoolBytes}`] : []),
    ...(config.jetstream ? ['--jetstream', '--max-in-flight', `${config.maxInFlight}`] : []),
    ...(config.createStream ? ['--create-stream'] : []),
    ...(config.expectStream ? ['--stream', STREAM] : []),
  ]
}
