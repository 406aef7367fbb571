#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';
import { keepCompiledCode } from './compile-cache.js';
import { allocateYoung } from './young-allocation.js';

if (existsSync('.env')) loadEnvFile('.env');
// What is imported here is JavaScript, so that not even this needs what takes types out of code, which takes long to load.
keepCompiledCode();
allocateYoung();
await import('./program.ts');
