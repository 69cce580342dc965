export * from './inbox/index.js'
