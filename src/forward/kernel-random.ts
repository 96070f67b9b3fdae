// Random bytes from the kernel, for the NATS client, which makes the names of its inboxes of them.

import { closeSync, openSync, readSync } from 'node:fs'

/**
 * Until somebody needs more of `globalThis.crypto` than random bytes. Node would load all of its cryptography
 * for these few: 2 MB, 4 ms.
 */
export function useKernelRandom(): void {
  const own = Object.getOwnPropertyDescriptor(globalThis, 'crypto')!
  const crypto = new Proxy({ getRandomValues } as Crypto, {
    get(target, name) {
      const real: Crypto = name in target ? target : own.get!.call(globalThis)
      const value = Reflect.get(real, name)
      return typeof value === 'function' ? value.bind(real) : value
    },
  })
  Object.defineProperty(globalThis, 'crypto', { get: () => crypto, configurable: true })
}

function getRandomValues<T extends NodeJS.ArrayBufferView>(into: T): T {
  const fd = openSync('/dev/urandom', 'r')
  try {
    readSync(fd, into, 0, into.byteLength, null)
  } finally {
    closeSync(fd)
  }
  return into
}
