// `npm run demo`, `npm start` and `npm test` on a fresh clone: installs and builds what has changed, then runs.
// Plain Node without dependencies, because it runs before there are any.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const top = dirname(dirname(fileURLToPath(import.meta.url)))
const marks = join(top, 'node_modules', '.cache', 's4s')
const bin = (path) => join(top, 'node_modules', ...path.split('/'))

await main()

async function main() {
  checkNode()
  const [command, ...args] = process.argv.slice(2)
  const commands = { demo, start, test, install, build }
  if (!Object.hasOwn(commands, command ?? '')) {
    say(`Usage: node scripts/run.mjs ${Object.keys(commands).join('|')} [arguments]`)
    process.exit(2)
  }
  process.exitCode = await commands[command](args)
}

async function demo(args) {
  build()
  // Paths among the arguments are seen from where the command was typed.
  const cwd = process.env.INIT_CWD ?? process.cwd()
  return run(process.execPath, [...tsx(), join(top, 'examples', 'terminal', 'demo.ts'), ...args], { cwd })
}

async function start(args) {
  build()
  const cwd = join(top, 'examples', 'study-portal')
  const vite = [bin('vite/bin/vite.js'), 'build', '--logLevel', 'warn']
  const status = await run(process.execPath, vite, { cwd })
  return status === 0 ? run(process.execPath, [...tsx(), 'start.ts', ...args], { cwd }) : status
}

/** Types, floors and every test; or, with arguments, vitest with these. */
async function test(args) {
  install()
  const vitest = [bin('vitest/vitest.mjs'), 'run']
  if (args.length > 0) return run(process.execPath, [...vitest, ...args])

  const steps = [
    ['floors', [join(top, 'scripts', 'check-floors.mjs')]],
    ['types', [bin('typescript/bin/tsc'), '-p', 'tsconfig.json', '--noEmit']],
    ['tests', vitest],
  ]
  const failed = []
  for (const [name, command] of steps) {
    say(`${name} …`)
    if ((await run(process.execPath, command)) !== 0) failed.push(name)
  }
  for (const line of missing()) say(line)
  if (failed.length > 0) say(`Failed: ${failed.join(', ')}`)
  return failed.length === 0 ? 0 : 1
}

function tsx() {
  return ['--import', pathToFileURL(bin('tsx/dist/loader.mjs')).href]
}

/** What this machine lacks, and what was therefore left out; vitest itself lists the single tests. */
function missing() {
  const have = (...names) =>
    names.some((name) =>
      (process.env.PATH ?? '').split(/[:;]/).some((folder) => existsSync(join(folder, name))),
    )
  const lines = []
  if (
    !process.env.CHROMIUM_PATH &&
    !have('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
  )
    lines.push(
      'Skipped: the tests in a real browser; there is no Chromium here (CHROMIUM_PATH may name one).',
    )
  return lines
}

/** Installs the dependencies unless those in the lockfile are there already. */
function install() {
  const inputs = [
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    'package.json',
    ...workspaces().map((folder) => `${folder}/package.json`),
  ]
  unlessDone('install', inputs, existsSync(bin('.modules.yaml')), () => {
    say('Installing the dependencies …')
    const { packageManager } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8'))
    pnpm(packageManager, ['install', '--frozen-lockfile'])
  })
  return 0
}

/** Builds the packages unless their sources are those of the last build. */
function build() {
  install()
  const packages = workspaces().filter((folder) => folder.startsWith('packages/'))
  const inputs = ['pnpm-lock.yaml', 'tsconfig.base.json', ...packages.flatMap(filesOf)]
  const there = packages.every((folder) => existsSync(join(top, folder, 'dist', 'index.d.ts')))
  unlessDone('build', inputs, there, () => {
    say('Building the packages …')
    const { packageManager } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8'))
    pnpm(packageManager, ['--recursive', '--filter', './packages/*', 'run', 'build'])
  })
  return 0
}

/** The folders with a package.json: packages, examples, bench. */
function workspaces() {
  const inside = (folder) =>
    readdirSync(join(top, folder), { withFileTypes: true }).map(({ name }) => `${folder}/${name}`)
  return [...inside('packages'), ...inside('examples'), 'bench'].filter((folder) =>
    existsSync(join(top, folder, 'package.json')),
  )
}

/** What a build of a package depends on: all of its files but tests and what a build or an install makes. */
function filesOf(folder) {
  return readdirSync(join(top, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory())
      return ['node_modules', 'dist', 'coverage'].includes(entry.name) ? [] : filesOf(path)
    return entry.isFile() && !/\.test(-d)?\.tsx?$/.test(entry.name) ? [path] : []
  })
}

/** Does work unless it was done for the same inputs; a mark under node_modules remembers for which. */
function unlessDone(name, inputs, there, work) {
  const hash = createHash('sha256')
  for (const path of [...inputs].sort()) {
    const bytes = readFileSync(join(top, path))
    hash.update(`${path}\0${bytes.length}\0`).update(bytes)
  }
  const digest = hash.digest('hex')
  const mark = join(marks, name)
  if (there && existsSync(mark) && readFileSync(mark, 'utf8') === digest) return
  rmSync(mark, { force: true })
  work()
  mkdirSync(marks, { recursive: true })
  writeFileSync(mark, digest)
}

/** Runs pnpm in the version that package.json names; its output is shown only when it fails. */
function pnpm(version, args) {
  const [command, ...rest] = npm('npx', ['--yes', version, ...args])
  const { status, error, stdout, stderr } = spawnSync(command, rest, {
    cwd: top,
    env: { ...process.env, CI: 'true' },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    shell: needsShell(command),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (status === 0) return
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`)
  say(`pnpm ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`)
  process.exit(1)
}

/** How to call npm or npx: the one that called us, which on Windows spares a shell. */
function npm(name, args) {
  const cli = process.env.npm_execpath && join(dirname(process.env.npm_execpath), `${name}-cli.js`)
  return cli && existsSync(cli) ? [process.execPath, cli, ...args] : [name, ...args]
}

function needsShell(command) {
  return process.platform === 'win32' && command !== process.execPath
}

/** Runs a command in the foreground and resolves with its exit code. */
function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: top, stdio: 'inherit', ...options })
    // Ctrl-C reaches the child by itself; a signal sent to us alone is handed on.
    const stop = () => child.kill('SIGTERM')
    const wait = () => {}
    process.on('SIGTERM', stop).on('SIGINT', wait)
    // A signal sent to npm alone ends npm and the shell between it and us, and we are not told.
    const parent = process.ppid
    const watch = setInterval(() => process.env.npm_lifecycle_event && process.ppid !== parent && stop(), 500)
    const end = (status) => {
      process.off('SIGTERM', stop).off('SIGINT', wait)
      clearInterval(watch)
      resolve(status)
    }
    child.on('error', (error) => {
      say(`${command} could not be run: ${error.message}`)
      end(1)
    })
    child.on('exit', (code, signal) => end(code ?? (signal === 'SIGINT' ? 130 : 143)))
  })
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  say(`This needs Node 20.19 or newer; here it is ${process.versions.node}.`)
  process.exit(1)
}

function say(line) {
  process.stderr.write(`${line}\n`)
}
