CREATE TABLE `task_tags` (
	`tag` text NOT NULL,
	`task_id` integer NOT NULL,
	PRIMARY KEY(`tag`, `task_id`)
);
--> statement-breakpoint
CREATE INDEX `task_tags_of_task` ON `task_tags` (`task_id`);--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `tags` text DEFAULT '[]' NOT NULL;