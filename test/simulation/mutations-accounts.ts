// Mutations of what a life says, and of what it does in time: no alert is lost by most of them.

import { type Mutation, text } from './mutate.ts'

export const ACCOUNT_MUTATIONS: readonly Mutation[] = [
  {
    name: 'second-signal-ignored',
    why: 'a second signal waits for the drain timeout',
    file: 'forward/forward.ts',
    find: 'giveUpAfter(config.drainTimeout, ending, abandon, environment.clock)',
    replace:
      'giveUpAfter(config.drainTimeout, ending, new AbortController().signal, environment.clock)',
  },
  {
    name: 'exit-code-without-drops',
    why: 'dropped alerts are no loss',
    file: 'forward/accounting/counters.ts',
    find: text(
      "  all.push([totalDropped(counters), 'dropped because buffer and spool were full'])",
      '',
    ),
    replace: '',
  },
  {
    name: 'bytes-read-doubled',
    why: 'the bytes of a chunk count twice',
    file: 'forward/buffer/batcher.ts',
    find: 'counters.bytesRead += chunk.length',
    replace: 'counters.bytesRead += 2 * chunk.length',
  },
  {
    name: 'less-severe-let-through',
    why: 'alerts one step below --min-priority are delivered',
    file: 'forward/buffer/batcher.ts',
    find: 'severity > minPriority',
    replace: 'severity > minPriority + 1',
  },
  {
    name: 'internal-filtered',
    why: "Falco's internal alerts are filtered like others",
    file: 'forward/buffer/batcher.ts',
    find: 'report === undefined ? severity > minPriority : dropInternal',
    replace: 'severity > minPriority',
  },
  {
    name: 'session-uncounted',
    why: 'connections are not counted',
    file: 'forward/delivery/connector.ts',
    find: text('    counters.sessions++', ''),
    replace: '',
  },
  {
    name: 'still-connected',
    why: 'a lost session counts as connected until the next',
    file: 'forward/delivery/publisher.ts',
    find: text('      session = undefined', ''),
    replace: '',
  },
  {
    name: 'resent-uncounted',
    why: 'alerts that a new session gets again do not count as resent',
    file: 'forward/buffer/in-flight.ts',
    find: text('  counters.resent += flight.written', ''),
    replace: '',
  },
  {
    name: 'retry-uncounted',
    why: 'retries do not count as resent',
    file: 'forward/delivery/jetstream/jetstream.ts',
    find: text('    counters.resent++', ''),
    replace: '',
  },
  {
    name: 'duplicate-uncounted',
    why: 'an alert that the stream had counts as new',
    file: 'forward/delivery/jetstream/acks.ts',
    find: "duplicate === true ? 'duplicate' : 'stored'",
    replace: "'stored'",
  },
  {
    name: 'aside-untold',
    why: 'nobody is told that the spool was moved aside',
    file: 'forward/open-sink.ts',
    find: 'if (movedTo !== undefined)',
    replace: "if (movedTo === '')",
  },
  {
    name: 'ticker-goes-on',
    why: 'the ticker of a session outlives it',
    file: 'forward/delivery/jetstream/jetstream.ts',
    find: text('    ticker[Symbol.dispose]()', ''),
    replace: '',
  },
  {
    name: 'stall-stays-in-memory',
    why: 'alerts stay in memory while the server stalls',
    file: 'forward/delivery/publisher.ts',
    find: text('    if (isStalled()) buffer.spill()', ''),
    replace: '',
  },
  {
    name: 'room-not-used',
    why: 'reading stops when memory is full, although the spool has room',
    file: 'forward/buffer/alert-buffer.ts',
    find: 'memoryIsFull(mayDrop) && !hasRoomOnDisk()',
    replace: 'memoryIsFull(mayDrop) || !hasRoomOnDisk()',
  },
  {
    name: 'lag-unnoticed',
    why: 'nobody looks whether a slow server is to be buffered for',
    file: 'forward/delivery/publisher.ts',
    find: text('    if (isLagging()) stateChanged.notify()', ''),
    replace: '',
  },
  {
    name: 'dials-without-pause',
    why: 'servers that refuse are dialled again at once',
    file: 'forward/delivery/connector.ts',
    find: text('      attempt++', ''),
    replace: '',
  },
  {
    name: 'retries-without-pause',
    why: 'a stream that refuses gets the alert again at once',
    file: 'forward/delivery/jetstream/jetstream.ts',
    find: 'backoff(++attempt, RETRY_FIRST_MS, { random })',
    replace: '1',
  },
]
