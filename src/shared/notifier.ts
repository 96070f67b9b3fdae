// The one primitive with which the stages wait for each other.

/** Something to wait for again and again: `notify` wakes whoever waits at that moment. */
export interface Notifier {
  wait(): Promise<void>
  notify(): void
}

export function createNotifier(): Notifier {
  let waiting: PromiseWithResolvers<void> | undefined
  return {
    wait() {
      waiting ??= Promise.withResolvers()
      return waiting.promise
    },
    notify() {
      waiting?.resolve()
      waiting = undefined
    },
  }
}
