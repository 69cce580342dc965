import { execFile, type SpawnOptions, spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'

const run = promisify(execFile)

/** A Postgres of a test's own, on loopback, in a folder that goes with it. */
export interface TestPostgres {
  readonly port: number
  pool(options?: pg.PoolConfig): pg.Pool
  /** Ends it at once, as when the machine fails, and starts it again on the same data. */
  crash(): Promise<void>
  dump(): Promise<string>
  stop(): Promise<void>
}

/** Debian's folder for all versions; the newest comes first. */
const versions = '/usr/lib/postgresql'
const folders = (existsSync(versions) ? readdirSync(versions) : [])
  .sort((a, b) => Number(b) - Number(a))
  .map((version) => join(versions, version, 'bin'))

/** Where Postgres's programs are; undefined when this machine has none. */
export const postgresBin: string | undefined = [process.env.POSTGRES_BIN ?? '', ...folders].find(
  (folder) => folder !== '' && existsSync(join(folder, 'initdb')),
)

/** Why the tests against a real Postgres do not run here; undefined when they do. */
export const noPostgres: string | undefined =
  postgresBin === undefined ? 'no Postgres here: install it, or name its folder in POSTGRES_BIN' : undefined

export async function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<TestPostgres> {
  const bin = postgresBin
  if (bin === undefined) throw new Error(noPostgres)
  const folder = await mkdtemp(join(tmpdir(), 's4s-pg-'))
  // Postgres refuses to run as root.
  const user = process.getuid?.() === 0 ? await idsOf('postgres') : undefined
  if (user) await chown(folder, user.uid, user.gid)
  const options: SpawnOptions = { cwd: folder, ...user }
  const data = join(folder, 'data')
  await finished(
    spawn(join(bin, 'initdb'), ['-D', data, '-U', 's4s', '-A', 'trust', '--no-sync', '-E', 'UTF8'], {
      ...options,
      stdio: 'ignore',
    }),
  )
  const port = await freePort()
  const flags = Object.entries({ max_connections: '300', ...settings }).flatMap(([key, value]) => [
    '-c',
    `${key}=${value}`,
  ])
  const start = async () => {
    const child = spawn(
      join(bin, 'postgres'),
      ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', folder, ...flags],
      { ...options, stdio: 'ignore' },
    )
    await answers(port)
    return child
  }
  let server = await start()
  const pools: pg.Pool[] = []
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const gone = new Promise((resolve) => server.once('exit', resolve))
    server.kill(signal)
    await gone
  }
  return {
    port,
    pool(given = {}) {
      const pool = new pg.Pool({ host: '127.0.0.1', port, user: 's4s', database: 'postgres', ...given })
      // A session that a restart cut off while nobody used it.
      pool.on('error', () => {})
      pools.push(pool)
      return pool
    },
    async crash() {
      await end('SIGQUIT')
      server = await start()
    },
    async dump() {
      const address = ['-h', '127.0.0.1', '-p', String(port), '-U', 's4s', 'postgres']
      return (await run(join(bin, 'pg_dump'), address, { maxBuffer: 256 * 1024 * 1024 })).stdout
    },
    async stop() {
      await Promise.all(pools.map((pool) => pool.end().catch(() => {})))
      await end('SIGQUIT')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function idsOf(name: string): Promise<{ uid: number; gid: number }> {
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, name])).stdout)),
  )
  return { uid: uid as number, gid: gid as number }
}

function finished(child: ReturnType<typeof spawn>): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`initdb ended with ${code}`))))
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function answers(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 's4s', database: 'postgres' })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.end()
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  throw new Error('Postgres did not start')
}
