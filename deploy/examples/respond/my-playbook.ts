// A step of one's own: tells a service who opened a shell. Node.js runs TypeScript as it is, without its types.

interface Alert {
  readonly rule: string
  readonly output_fields?: Readonly<Record<string, unknown>>
}

interface Context {
  /** The same whenever this alert comes: it may come twice. */
  readonly id: string
  /** As it stands in the playbook. */
  readonly with: { readonly url: string }
  readonly dryRun: boolean
  /** Aborts when the step's time is over. */
  readonly signal: AbortSignal
}

/** Without it, a dry run does not call `run`. */
export const supportsDryRun = true

/** Gives a line that says what was done, or why nothing was. What it throws is tried again. */
export async function run(
  { rule, output_fields: fields = {} }: Alert,
  { id, with: { url }, dryRun, signal }: Context,
): Promise<string | { skipped: string }> {
  const user = fields['user.name']
  if (typeof user !== 'string') return { skipped: 'the alert names no user' }
  if (dryRun) return `would tell of ${user}`
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': id },
    body: JSON.stringify({ user, rule }),
    signal,
  })
  if (!response.ok) throw new Error(`answered ${response.status}`)
  return `told of ${user}`
}
