import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Connection, createClient, type Provider, usCore } from '@s4s/core'
import { testPlatform } from '@s4s/core/testing'

/** A patient with many observations, in an EHR of another process. */
export interface Patient {
  readonly connection: Connection
  readonly url: string
  stop(): Promise<void>
}

/** Starts the EHR and connects. */
export async function startPatient(
  observations: number,
  perPage: number,
  other: { readonly script: string; readonly more: readonly string[] } = { script: 'ehr.ts', more: [] },
): Promise<Patient> {
  const script = fileURLToPath(new URL(other.script, import.meta.url))
  const child = fork(script, [String(observations), String(perPage), ...other.more], {
    execArgv: process.execArgv,
  })
  const [{ provider }] = (await once(child, 'message')) as [{ provider: Provider }]
  const client = createClient({
    platform: testPlatform(),
    redirectUri: 'http://127.0.0.1/callback',
    providers: [provider],
    plan: usCore.only('Patient', 'Laboratory'),
  })
  const { state } = await client.authorize(provider.id)
  const connection = await client.callback(`http://127.0.0.1/callback?code=c&state=${state}`)
  return { connection, url: `${provider.iss}/Observation`, stop: () => stop(child) }
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill()
  await ended
}

/** Forgets what is not needed any more; needs --expose-gc. */
export function collectGarbage(): void {
  ;(globalThis as { gc?: () => void }).gc?.()
}

export function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN
}
