// Test titles and the ids in them. Read from the syntax tree, so that a test that is commented out, skipped or to be
// written proves nothing.
import ts from 'typescript'

const id = String.raw`(?:[A-Z]-\d{2}|KF-\d{2}|T\d{1,2}|F\d{2})`
const placeholder = /%(?:\.\d+)?[sdifjoOc#]|\$\w+/g

/**
 * The ids of a title, ranges such as `G-01 to G-08` spelled out.
 *
 * @param {string} title
 * @returns {string[]}
 */
export function idsOf(title) {
  const found = new Set()
  const pattern = new RegExp(String.raw`(?<![\w-])(${id})(?: to (${id}))?(?![\w-])`, 'g')
  for (const [, first, last] of title.matchAll(pattern)) {
    found.add(first)
    if (last === undefined) continue
    const [prefix, from] = split(first)
    const [, to] = split(last)
    for (let n = from; n <= to; n++) found.add(prefix + String(n).padStart(first.length - prefix.length, '0'))
  }
  return [...found]
}

const split = (one) => {
  const [, prefix, number] = /^(.*?)(\d+)$/.exec(one)
  return [prefix, Number(number)]
}

/**
 * The tests of a file that run, in order: how each reads behind the `describe`s around it, the values of a table in
 * their places, and the ids that it or they carry. A test with a table is one test.
 *
 * @param {string} text
 * @returns {{ title: string, ids: string[] }[]}
 */
export function testsIn(text) {
  const tests = []
  const visit = (node, around) => {
    const call = ts.isCallExpression(node) ? called(node) : undefined
    if (call === 'off') return
    if (call?.kind === 'test')
      tests.push({
        title: words([...around.map(({ title }) => title), call.title]),
        ids: [...new Set([...around.flatMap(({ ids }) => ids), ...call.ids])],
      })
    const inner = call?.kind === 'describe' ? [...around, call] : around
    ts.forEachChild(node, (child) => visit(child, inner))
  }
  visit(ts.createSourceFile('test.ts', text, ts.ScriptTarget.Latest, true), [])
  return tests
}

// `test('…')`, `test.each(…)('…')`, `describe('…')`; `off` for one that does not run.
function called(node) {
  const names = []
  let callee = node.expression
  let table
  for (;;) {
    if (ts.isCallExpression(callee)) {
      table ??= callee.arguments[0]
      callee = callee.expression
    } else if (ts.isTaggedTemplateExpression(callee)) callee = callee.tag
    else if (ts.isPropertyAccessExpression(callee)) {
      names.push(callee.name.text)
      callee = callee.expression
    } else break
  }
  if (!ts.isIdentifier(callee) || !['test', 'it', 'describe'].includes(callee.text)) return undefined
  if (names.some((name) => ['skip', 'todo', 'fails'].includes(name))) return 'off'
  const [first, ...others] = node.arguments
  const title = first && literal(first)
  if (title === undefined) return undefined
  if (others.some(turnsOff)) return 'off'
  const kind = callee.text === 'describe' ? 'describe' : 'test'
  if (!names.includes('each')) return { kind, title, ids: idsOf(title) }
  const rows = rowsOf(table)
  return {
    kind,
    title: filled(title, rows),
    ids: [...new Set([title, ...rows.map((row) => filled(title, [row]))].flatMap(idsOf))],
  }
}

const turnsOff = (options) =>
  ts.isObjectLiteralExpression(options) &&
  options.properties.some(
    (one) =>
      ts.isPropertyAssignment(one) &&
      ['skip', 'todo', 'fails'].includes(one.name.getText()) &&
      one.initializer.kind !== ts.SyntaxKind.FalseKeyword,
  )

// The cells of a table that stands in the call, as text; undefined for what only a run can tell.
function rowsOf(table) {
  if (!table || !ts.isArrayLiteralExpression(table)) return []
  return table.elements.map((row) =>
    (ts.isArrayLiteralExpression(row) ? [...row.elements] : [row]).map((cell) =>
      ts.isNumericLiteral(cell) ? cell.text : literal(cell),
    ),
  )
}

function literal(node) {
  if (ts.isStringLiteralLike(node)) return node.text
  if (ts.isTemplateExpression(node))
    return node.head.text + node.templateSpans.map((span) => `…${span.literal.text}`).join('')
  return undefined
}

// A title with the values of its table where they are few and short, else with an ellipsis.
function filled(title, rows) {
  let column = 0
  return title.replace(placeholder, (sign) => {
    const values = new Set(sign.startsWith('%') ? rows.map((row) => row[column]) : [undefined])
    column++
    const told = [...values].join(' / ')
    return values.size === 0 || values.has(undefined) || told.length > 60 ? '…' : told
  })
}

// Without ids and numbers of goals, and without a last part that is nothing but an ellipsis.
function words(parts) {
  const plain = parts.map((part) =>
    part.replace(new RegExp(String.raw`^(?:(?:${id}|[FG]\d{1,2}|PR-\d\d)(?:,? (?:to )?|$))+`), '').trim(),
  )
  const told = plain.filter((part) => part !== '' && part !== '…')
  return (told.length > 0 ? told : parts).join(' › ')
}
