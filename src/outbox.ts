// Messages that want an answer, gathered in the course of a turn of the event loop for one write.

import type { Session } from './session.ts'

export interface Outbox {
  /** `payload` must stay what it is until `flush`. `headers`: `NATS/1.0 ↵ … ↵ ↵`. */
  add(subject: string, reply: string, headers: Buffer, payload: Buffer): void
  /** Writes what was added; it also happens by itself, before the next event is handled. */
  flush(): void
}

const LINE_END_BYTES = 2

export function createOutbox(session: Session): Outbox {
  const heads: string[] = []
  const headers: Buffer[] = []
  const payloads: Buffer[] = []
  let bytes = 0

  function flush(): void {
    if (heads.length === 0) return
    const messages = Buffer.allocUnsafeSlow(bytes)
    let at = 0
    for (let index = 0; index < heads.length; index++) {
      at += messages.write(heads[index]!, at, 'latin1')
      at += headers[index]!.copy(messages, at)
      at += payloads[index]!.copy(messages, at)
      at += messages.write('\r\n', at, 'latin1')
    }
    heads.length = headers.length = payloads.length = bytes = 0
    session.write(messages)
  }

  return {
    add(subject, reply, ownHeaders, payload) {
      if (heads.length === 0) queueMicrotask(flush)
      const size = ownHeaders.length + payload.length
      const head = `HPUB ${subject} ${reply} ${ownHeaders.length} ${size}\r\n`
      heads.push(head)
      headers.push(ownHeaders)
      payloads.push(payload)
      bytes += head.length + size + LINE_END_BYTES
    },
    flush,
  }
}
