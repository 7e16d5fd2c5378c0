DROP INDEX `task_targets_of_target`;--> statement-breakpoint
CREATE INDEX `task_targets_of_target` ON `task_targets` (`target_id`,`task_id`);--> statement-breakpoint
ALTER TABLE `sessions` ADD `ip_address` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `sessions` ADD `user_agent` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `storage_targets` ADD `last_test` text;--> statement-breakpoint
CREATE INDEX `audit_logs_of_people` ON `audit_logs` (`id`) WHERE actor <> 'system';--> statement-breakpoint
CREATE INDEX `audit_logs_of_actor` ON `audit_logs` (`actor`) WHERE actor <> 'system';--> statement-breakpoint
CREATE INDEX `audit_logs_of_action` ON `audit_logs` (`action`) WHERE actor <> 'system';--> statement-breakpoint
CREATE INDEX `audit_logs_of_entity` ON `audit_logs` (`entity`,`entity_id`) WHERE actor <> 'system';