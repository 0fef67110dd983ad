import { describe, test } from 'vitest';
import { describeConformance } from '@trunkline/channel-sdk/testing';
import plugin from '../index.ts';
import { samples } from './samples.ts';

describeConformance({ describe, test }, plugin, samples);
